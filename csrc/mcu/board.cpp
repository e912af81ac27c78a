#include "mcu/board.hpp"

#include <array>
#include <bit>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "mcu/text.hpp"

namespace lutra::mcu {

namespace {

constexpr std::array<std::pair<std::string_view, CoreKind>, 6> kCores = {{
    {"cortex-m0plus", CoreKind::cortex_m0plus},
    {"cortex-m3", CoreKind::cortex_m3},
    {"cortex-m4", CoreKind::cortex_m4},
    {"cortex-m33", CoreKind::cortex_m33},
    {"cortex-m7", CoreKind::cortex_m7},
    {"rv32imc", CoreKind::rv32imc},
}};

constexpr uint32_t kMaxRegionBytes = 1U << 28;  // no microcontroller has 256 MiB; a typing error may
constexpr uint32_t kMaxWaitStates = 1000;
constexpr uint32_t kMinLineBytes = 4;
constexpr uint32_t kMaxLineBytes = 256;
constexpr uint32_t kMaxLines = 1U << 15;
/// Calls return to an address above this one (kReturnAddress), and addresses must not wrap.
constexpr uint64_t kMaxAddress = 0xFFFF0000;

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("board: " + what); }

void check_region(const std::string& name, uint32_t base, uint32_t size) {
  if (size == 0 || size > kMaxRegionBytes)
    refuse(name + ".size must be 1 to " + std::to_string(kMaxRegionBytes) + " bytes, is " +
           std::to_string(size));
  if (base % 4 != 0 || size % 4 != 0) refuse(name + ": base and size must be multiples of 4");
  if (uint64_t{base} + size > kMaxAddress)
    refuse(name + " at " + hex(base) + " reaches beyond " + hex(static_cast<uint32_t>(kMaxAddress)));
}

void check_line(const std::string& name, uint32_t bytes) {
  if (!std::has_single_bit(bytes) || bytes < kMinLineBytes || bytes > kMaxLineBytes)
    refuse(name + " must be a power of two from 4 to 256, is " + std::to_string(bytes));
}

void check_flash(const FlashBoard& flash) {
  check_region("flash", flash.base, flash.size);
  check_line("flash.line_bytes", flash.line_bytes);
  for (const auto& [name, value, most] :
       {std::tuple("wait_states", flash.wait_states, kMaxWaitStates),
        std::tuple("d_extra", flash.d_extra, kMaxWaitStates), std::tuple("i_lines", flash.i_lines, kMaxLines),
        std::tuple("d_lines", flash.d_lines, kMaxLines)})
    if (value > most)
      refuse("flash." + std::string(name) + " must be at most " + std::to_string(most) + ", is " +
             std::to_string(value));
}

void check_cache(const std::string& name, const CacheBoard& cache) {
  if (cache.bytes == 0) return;
  check_line(name + ".line_bytes", cache.line_bytes);
  const uint64_t way_lines = uint64_t{cache.ways} * cache.line_bytes;
  if (cache.ways == 0 || cache.bytes % way_lines != 0 || !std::has_single_bit(cache.bytes / way_lines))
    refuse(name + ": bytes must be ways x line_bytes x a power of two");
}

bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
  return uint64_t{a} < uint64_t{b} + b_size && uint64_t{b} < uint64_t{a} + a_size;
}

}  // namespace

std::string_view core_name(CoreKind core) {
  for (const auto& [name, kind] : kCores)
    if (kind == core) return name;
  return "unknown";
}

CoreKind core_named(std::string_view name) {
  std::string known;
  for (const auto& [candidate, kind] : kCores) {
    if (candidate == name) return kind;
    known.append(known.empty() ? "" : ", ").append(candidate);
  }
  refuse("unknown core '" + std::string(name) + "'; known: " + known);
}

void validate(const Board& board) {
  check_flash(board.flash);
  if (board.ram.empty()) refuse("ram needs at least one region");
  for (size_t i = 0; i < board.ram.size(); ++i) {
    const RamBoard& ram = board.ram[i];
    const std::string name = "ram[" + std::to_string(i) + "]";
    check_region(name, ram.base, ram.size);
    if (overlap(ram.base, ram.size, board.flash.base, board.flash.size)) refuse(name + " overlaps flash");
    for (size_t j = 0; j < i; ++j)
      if (overlap(ram.base, ram.size, board.ram[j].base, board.ram[j].size))
        refuse(name + " overlaps ram[" + std::to_string(j) + "]");
  }
  check_cache("icache", board.icache);
  check_cache("dcache", board.dcache);
  if (board.bus_divider == 0 || board.bus_divider > 64) refuse("bus_divider must be 1 to 64");
}

}  // namespace lutra::mcu
