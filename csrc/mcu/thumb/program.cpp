#include "mcu/thumb/program.hpp"

#include <bit>

namespace lutra::mcu::thumb {

namespace {

/// Stands for what ends a call wherever it is reached, whatever the flags.
Instruction marker(Operation operation, uint8_t bytes = 2) {
  Instruction instruction;
  instruction.operation = operation;
  instruction.bytes = bytes;
  return instruction;
}

/// Whether execution never goes on behind the instruction, except by coming back to it.
bool ends_run(const Instruction& i) {
  if (i.condition != kAlways) return false;
  switch (i.operation) {
    case Operation::b:
    case Operation::bl:
    case Operation::bx:
    case Operation::blx:
    case Operation::tbb:
    case Operation::tbh:
    case Operation::branch_sum:
    case Operation::ldr_pc:
    case Operation::ldm_pc:
    case Operation::undefined:
    case Operation::unpredictable:
    case Operation::end_of_code:
    case Operation::breakpoint:
      return true;
    default:
      return false;
  }
}

bool may_branch(const Instruction& i) {
  return i.timing == TimingClass::branch || i.timing == TimingClass::branch_link ||
         i.timing == TimingClass::branch_register || i.timing == TimingClass::branch_table ||
         i.operation == Operation::ldr_pc || i.operation == Operation::ldm_pc;
}

/// What is left of an IT block: the conditions of the instructions to come.
class ItBlock {
 public:
  /// `immediate` is the low byte of the IT instruction: first condition and mask.
  void start(uint32_t immediate) {
    const uint32_t mask = immediate & 15;
    state_ = immediate;
    left_ = 4 - static_cast<uint32_t>(std::countr_zero(mask));
  }
  bool active() const { return left_ > 0; }
  bool at_last() const { return left_ == 1; }
  uint8_t condition() const { return static_cast<uint8_t>(state_ >> 4 & 15); }
  void advance() {
    // ITAdvance() of the architecture manual: the low five bits move up by one.
    state_ = (state_ & 0xE0) | (state_ << 1 & 0x1F);
    --left_;
  }

 private:
  uint32_t state_ = 0;
  uint32_t left_ = 0;
};

/// The instruction as it stands in an IT block; unpredictable where it must not.
Instruction predicated(Instruction i, const ItBlock& block) {
  const bool compares_and_branches = i.operation == Operation::cbz || i.operation == Operation::cbnz;
  const bool has_own_condition = i.condition != kAlways;
  const bool branches_too_early = may_branch(i) && !block.at_last();
  if (i.operation == Operation::it || compares_and_branches || has_own_condition || branches_too_early)
    i = marker(Operation::unpredictable, i.bytes);
  else
    i.condition = block.condition();
  i.in_it_block = true;
  if (i.condition != kAlways) i.sources |= kFlags;
  return i;
}

}  // namespace

Program::Program(const Memory& memory, const ElfImage& image, const Features& features)
    : memory_(memory), features_(features) {
  for (const ElfSegment& segment : image.segments)
    if (segment.executable) ranges_.push_back({segment.address & ~1U, segment.memory_bytes & ~1U, {}});
  forget();
}

void Program::forget() {
  for (Range& range : ranges_) {
    range.instructions.assign(range.size / 2 + 2, Instruction{});
    // A wide instruction in the last halfword steps onto the second of the two.
    for (uint32_t i = 0; i < 2; ++i) range.instructions[range.size / 2 + i] = marker(Operation::end_of_code);
  }
}

const Instruction* Program::entry(uint32_t pc) {
  for (Range& range : ranges_) {
    const uint32_t offset = pc - range.base;
    if (offset >= range.size) continue;
    Instruction& instruction = range.instructions[offset / 2];
    if (instruction.bytes == 0) [[unlikely]]
      decode_run(range, offset / 2);
    if (instruction.in_it_block) [[unlikely]]
      instruction = marker(Operation::unpredictable, instruction.bytes);  // a jump into an IT block
    return &instruction;
  }
  return nullptr;
}

void Program::decode_run(Range& range, uint32_t index) {
  ItBlock block;
  for (;;) {
    Instruction& slot = range.instructions[index];
    if (slot.operation == Operation::end_of_code) return;
    const bool known = slot.bytes != 0;
    if (known && !block.active() && !slot.in_it_block) return;
    if (known && block.active() != slot.in_it_block) {
      // Reached both inside and outside an IT block, which no compiler emits: neither way is right.
      slot = marker(Operation::unpredictable, slot.bytes);
      return;
    }
    const Instruction decoded = decode_at(range, index, block.active());
    slot = block.active() ? predicated(decoded, block) : decoded;
    if (block.active()) block.advance();
    if (slot.operation == Operation::it) block.start(slot.immediate);
    if (ends_run(slot)) return;
    index += slot.bytes / 2U;
  }
}

Instruction Program::decode_at(const Range& range, uint32_t index, bool in_it_block) const {
  const uint32_t pc = range.base + 2 * index;
  const uint32_t first = memory_.load<uint16_t>(pc);
  if (!is_wide(first)) return decode(first, 0, pc, in_it_block, features_);
  if (2 * (index + 1) >= range.size) return marker(Operation::end_of_code);
  return decode(first, memory_.load<uint16_t>(pc + 2), pc, in_it_block, features_);
}

}  // namespace lutra::mcu::thumb
