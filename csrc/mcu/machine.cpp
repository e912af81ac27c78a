#include "mcu/machine.hpp"

#include <algorithm>
#include <stdexcept>

#include "mcu/build_attributes.hpp"
#include "mcu/text.hpp"
#include "mcu/trap.hpp"

namespace lutra::mcu {

namespace {

const Board& validated(const Board& board) {
  validate(board);
  return board;
}

/// How much of the architecture a Cortex-M has, and an image of `arch` needs; the smaller runs on the larger.
int level_of(CoreKind core) {
  switch (core) {
    case CoreKind::cortex_m0plus:
      return 0;
    case CoreKind::cortex_m3:
      return 1;
    default:
      return 2;
  }
}

int level_needed(int arch) {
  switch (static_cast<CpuArch>(arch)) {
    case CpuArch::v6m:
    case CpuArch::v6sm:
      return 0;
    case CpuArch::v7:
      return 1;
    default:
      return 2;
  }
}

void check_target(const ElfImage& image, const Board& board) {
  const bool riscv_core = board.core == CoreKind::rv32imc;
  const std::string core(core_name(board.core));
  if (riscv_core != (image.machine == ElfMachine::riscv))
    throw ElfError("ELF file: built for " + std::string(riscv_core ? "Arm" : "RISC-V") +
                   ", but the board's core is " + core + "; build it for that core");
  if (!riscv_core && image.cpu_arch >= 0 && level_needed(image.cpu_arch) > level_of(board.core))
    throw ElfError("ELF file: built for a larger Arm architecture (Tag_CPU_arch " +
                   std::to_string(image.cpu_arch) + ") than " + core + " has; build it for that core");
}

}  // namespace

Machine::Machine(std::span<const uint8_t> elf, const Board& board)
    : board_(validated(board)), image_(parse_elf(elf)), memory_(board_) {
  check_target(image_, board_);
  for (const ElfSegment& segment : image_.segments) load(segment);
  processor_ = make_processor(board_, memory_, image_);
}

void Machine::load(const ElfSegment& segment) {
  if (!memory_.contains(segment.address, segment.memory_bytes))
    throw ElfError("ELF file: a segment of " + std::to_string(segment.memory_bytes) + " bytes at " +
                   hex(segment.address) +
                   " does not fit into the board's flash and RAM; link it for this board");
  std::vector<uint8_t> bytes = segment.bytes;
  bytes.resize(segment.memory_bytes);
  memory_.write(segment.address, bytes);
  if (segment.executable && !memory_.in_flash(segment.address))
    memory_.protect_code(segment.address, segment.memory_bytes);
}

std::vector<uint8_t> Machine::read(uint32_t address, uint32_t bytes) const {
  const std::lock_guard lock(mutex_);
  return memory_.read(address, bytes);
}

void Machine::write(uint32_t address, std::span<const uint8_t> bytes) {
  const std::lock_guard lock(mutex_);
  memory_.write(address, bytes);
  for (const ElfSegment& segment : image_.segments) {
    if (!segment.executable) continue;
    const uint64_t first = std::max<uint64_t>(address, segment.address);
    const uint64_t last =
        std::min(uint64_t{address} + bytes.size(), uint64_t{segment.address} + segment.memory_bytes);
    if (first < last) processor_->forget_code();
  }
}

CallResult Machine::call(uint32_t function, std::span<const uint32_t> arguments, uint64_t cycle_limit) {
  if (arguments.size() > Processor::kMaxArguments)
    throw std::invalid_argument("a call passes at most " + std::to_string(Processor::kMaxArguments) +
                                " arguments");
  const RamBoard& ram = board_.ram.front();
  const std::lock_guard lock(mutex_);
  return processor_->call({function, arguments, ram.base + ram.size, cycle_limit});
}

}  // namespace lutra::mcu
