#include "mcu/timing/m7_memory.hpp"

#include <algorithm>

namespace lutra::mcu {

namespace {

/// Bus cycles of reading a line beside those of the memory itself: through the core's bus interface and the
/// interconnect, there and back, until the first word can be used. [assumed: with the flash's own eight
/// cycles this is the 16 that the first model of this simulator guessed for the STM32F746; not fitted to any
/// figure]
constexpr uint32_t kBusCycles = 8;
constexpr uint32_t kRamCycles = 2;  ///< of a RAM behind the bus [assumed]

/// A store of less than a word, or of an unaligned word, rewrites whole words: it keeps its bank for this
/// many cycles while later ones wait in the store buffer. [measured on an STM32H743: 4 cycles a store where
/// all go to one bank, 2 where they alternate, no stall before five are waiting]
constexpr uint64_t kRewriteCycles = 4;
constexpr uint64_t kStoreBuffer = 5;

}  // namespace

M7Memory::M7Memory(const Board& board)
    : icache_(board.icache.bytes, board.icache.ways, board.icache.line_bytes),
      dcache_(board.dcache.bytes, board.dcache.ways, board.dcache.line_bytes),
      flash_{board.flash.base, board.flash.size},
      flash_miss_cycles_(board.bus_divider * (kBusCycles + 1 + board.flash.wait_states)),
      ram_miss_cycles_(board.bus_divider * (kBusCycles + kRamCycles)) {
  for (const RamBoard& ram : board.ram)
    if (ram.tcm) tcm_.push_back({ram.base, ram.size});
}

void M7Memory::clear() {
  icache_.clear();
  dcache_.clear();
  fetched_line_ = ~uint32_t{0};
  bank_free_ = {};
}

uint32_t M7Memory::bytes_of(const thumb::Instruction& d) {
  return d.access_bytes != 0 ? d.access_bytes : 4U * d.register_count;
}

bool M7Memory::in_tcm(uint32_t address) const {
  return std::any_of(tcm_.begin(), tcm_.end(),
                     [address](const Range& range) { return range.holds(address); });
}

uint32_t M7Memory::miss_cycles(uint32_t address) const {
  return flash_.holds(address) ? flash_miss_cycles_ : ram_miss_cycles_;
}

uint32_t M7Memory::fetch_line(uint32_t address) {
  fetched_line_ = address >> icache_.line_shift();
  if (in_tcm(address) || icache_.access(address)) return 0;
  return miss_cycles(address);
}

uint32_t M7Memory::read(uint32_t address, uint32_t bytes) {
  const uint32_t line_bytes = 1U << dcache_.line_shift();
  uint32_t wait = dcache_.access(address) ? 0 : miss_cycles(address);
  for (uint32_t offset = line_bytes - (address & (line_bytes - 1)); offset < bytes; offset += line_bytes)
    if (!dcache_.access(address + offset)) wait += miss_cycles(address + offset);
  return wait;
}

uint32_t M7Memory::store(const thumb::Instruction& d, uint32_t address, uint64_t now) {
  // A store that misses allocates its line, but the core goes on meanwhile.
  if (!in_tcm(address)) read(address, bytes_of(d));
  if (!is_single(d)) {
    // Two registers a cycle need an address that is a multiple of eight; else an even number takes one more.
    // [measured]
    return (address & 7U) != 0 && bytes_of(d) % 8 == 0 ? 1 : 0;
  }
  if (d.access_bytes == 4 && (address & 3U) == 0) return 0;
  uint64_t& free = bank_free_[(address >> 2) & 1U];
  free = std::max(free, now) + kRewriteCycles;
  const uint64_t bound = now + (kStoreBuffer - 1) * kRewriteCycles;
  if (free <= bound) return 0;
  return static_cast<uint32_t>(free - bound);
}

}  // namespace lutra::mcu
