#include "mcu/riscv/program.hpp"

#include "mcu/riscv/decode.hpp"

namespace lutra::mcu::riscv {

namespace {

constexpr Instruction kEnd{.operation = Operation::end_of_code, .bytes = 2};

/// Whether execution never goes on behind the instruction, except by coming back to it.
bool ends_run(Operation operation) {
  using enum Operation;
  return operation == jal || operation == jalr || operation == illegal || operation == end_of_code ||
         operation == ecall || operation == ebreak;
}

}  // namespace

Program::Program(const Memory& memory, const ElfImage& image) : memory_(memory) {
  for (const ElfSegment& segment : image.segments)
    if (segment.executable) ranges_.push_back({segment.address & ~1U, segment.memory_bytes & ~1U, {}});
  forget();
}

void Program::forget() {
  for (Range& range : ranges_) {
    range.instructions.assign(range.size / 2, Instruction{});
    range.instructions.insert(range.instructions.end(), 2, kEnd);  // a wide last one steps onto the second
  }
}

const Instruction* Program::entry(uint32_t pc) {
  for (Range& range : ranges_) {
    const uint32_t offset = pc - range.base;
    if (offset >= range.size) continue;
    const Instruction& instruction = range.instructions[offset / 2];
    if (instruction.bytes == 0) [[unlikely]]
      decode_run(range, offset / 2);
    return &instruction;
  }
  return nullptr;
}

void Program::decode_run(Range& range, uint32_t index) const {
  for (; range.instructions[index].bytes == 0; index += range.instructions[index].bytes / 2U) {
    range.instructions[index] = decode_at(range, index);
    if (ends_run(range.instructions[index].operation)) return;
  }
}

Instruction Program::decode_at(const Range& range, uint32_t index) const {
  const uint32_t pc = range.base + 2 * index;
  const uint32_t first = memory_.load<uint16_t>(pc);
  if ((first & 3U) != 3U) return decode(first);
  if (2 * (index + 1) >= range.size) return kEnd;
  return decode(first | uint32_t{memory_.load<uint16_t>(pc + 2)} << 16);
}

}  // namespace lutra::mcu::riscv
