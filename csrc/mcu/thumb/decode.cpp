#include "mcu/thumb/decode.hpp"

#include <initializer_list>

#include "mcu/thumb/tables.hpp"

namespace lutra::mcu::thumb {

namespace {

using Op = Operation;
using Time = TimingClass;

bool has(const Features& features, Needs needs) {
  switch (needs) {
    case Needs::baseline:
      return true;
    case Needs::mainline:
      return features.mainline;
    case Needs::dsp:
      return features.dsp;
    case Needs::fpu:
      return features.fpu;
    case Needs::fpu_v5:
      return features.fpu_v5;
  }
  return false;
}

bool is_float(const Instruction& i) {
  return i.timing == Time::float_simple || i.timing == Time::float_accumulate ||
         i.timing == Time::float_divide || i.timing == Time::float_load || i.timing == Time::float_store;
}

bool is_single_load(const Instruction& i) { return i.timing == Time::load || i.timing == Time::load_narrow; }

bool is_memory_access(const Instruction& i) {
  switch (i.timing) {
    case Time::load:
    case Time::load_narrow:
    case Time::load_double:
    case Time::load_multiple:
    case Time::store:
    case Time::store_indexed:
    case Time::store_double:
    case Time::store_multiple:
    case Time::branch_table:
    case Time::float_load:
    case Time::float_store:
      return true;
    default:
      return false;
  }
}

/// Loading pc is a branch; all other uses of r15 as an operand that a form has left in place are
/// unpredictable.
void settle_pc(Instruction& i) {
  if (i.operation == Op::undefined) return;
  if (i.operation == Op::ldr && i.rd == kPc) {
    i.operation = Op::ldr_pc;
    i.rd = kZero;
  }
  const bool names_pc = is_float(i) ? i.ra == kPc || (is_memory_access(i) && i.rn == kPc)
                                    : i.rd == kPc || i.rn == kPc || i.rm == kPc || i.ra == kPc;
  if (names_pc) i.operation = Op::unpredictable;
}

uint32_t mask_of(std::initializer_list<uint8_t> registers) {
  uint32_t mask = 0;
  for (const uint8_t r : registers)
    if (r < kPc) mask |= 1U << r;
  return mask;
}

constexpr uint32_t kCoreRegisters = 0x7FFF;

void set_memory_masks(Instruction& i) {
  const bool is_load = is_single_load(i) || i.timing == Time::load_double;
  const bool writes_back = i.timing == Time::load_multiple || i.timing == Time::store_multiple || is_float(i)
                               ? i.variant != 0
                               : i.index != Index::offset;
  i.early_sources = static_cast<uint16_t>(mask_of({i.rn, i.rm}));
  if (is_float(i)) i.early_sources = static_cast<uint16_t>(mask_of({i.rn}));
  if (writes_back) i.results |= mask_of({i.rn});
  if (i.timing == Time::load_multiple)
    i.results |= i.immediate & kCoreRegisters;
  else if (i.timing == Time::store_multiple)
    i.sources |= i.immediate & kCoreRegisters;
  else if (is_load)
    i.results |= mask_of({i.rd, i.ra});
  else if (!is_float(i))
    i.sources |= mask_of({i.rd, i.ra});
}

void set_float_masks(Instruction& i) {
  switch (i.operation) {
    case Op::vmov_from_core:
    case Op::vmsr:
      i.sources |= mask_of({i.ra});
      break;
    case Op::vmov_to_core:
    case Op::vmrs:
      i.results |= mask_of({i.ra});
      break;
    case Op::vmov_pair_from_core:
      i.sources |= mask_of({i.ra, i.rn});
      break;
    case Op::vmov_pair_to_core:
      i.results |= mask_of({i.ra, i.rn});
      break;
    case Op::vsel:
      i.sources |= kFlags;
      break;
    default:
      break;
  }
}

void set_multiply_masks(Instruction& i) {
  const bool is_long = i.timing == Time::multiply_long || i.timing == Time::multiply_accumulate_long;
  i.sources |= mask_of({i.rn, i.rm});
  i.results |= mask_of({i.rd});
  if (i.timing == Time::multiply_accumulate) i.late_sources = static_cast<uint16_t>(mask_of({i.ra}));
  if (i.timing == Time::multiply_accumulate_long)
    i.late_sources = static_cast<uint16_t>(mask_of({i.rd, i.ra}));
  if (is_long) i.results |= mask_of({i.ra});
}

void set_data_masks(Instruction& i) {
  i.sources |= mask_of({i.rn, i.rm, i.ra});
  i.results |= mask_of({i.rd});
  const bool merges = i.operation == Op::movt || i.operation == Op::bfi;
  if (merges) i.sources |= mask_of({i.rd});
  const bool reads_carry = i.operation == Op::adc || i.operation == Op::sbc || i.shifter == Shifter::rrx;
  if (reads_carry || i.operation == Op::sel || i.operation == Op::mrs) i.sources |= kFlags;
  if (i.operation == Op::bl || i.operation == Op::blx) i.results |= 1U << kLr;
  if (i.operation == Op::msr && i.variant) i.results |= kFlags;
}

/// Which registers the timing policies have to know of.
void set_masks(Instruction& i) {
  if (i.condition != kAlways) i.sources |= kFlags;
  if (i.sets_flags) i.results |= kFlags;
  switch (i.timing) {
    case Time::multiply:
    case Time::multiply_accumulate:
    case Time::multiply_long:
    case Time::multiply_accumulate_long:
      set_multiply_masks(i);
      break;
    default:
      if (is_memory_access(i))
        set_memory_masks(i);
      else if (is_float(i))
        set_float_masks(i);
      else
        set_data_masks(i);
  }
}

Instruction match(std::span<const Pattern> patterns, const Encoding& encoding, const Features& features) {
  for (const Pattern& pattern : patterns) {
    if ((encoding.word & pattern.mask) != pattern.value || !has(features, pattern.needs)) continue;
    Instruction i;
    i.operation = pattern.operation;
    i.timing = pattern.timing;
    pattern.form(encoding, i);
    return i;
  }
  return {};
}

bool is_coprocessor_space(uint32_t first) { return (first & 0xEC00) == 0xEC00; }

}  // namespace

Instruction decode(uint32_t first, uint32_t second, uint32_t pc, bool in_it_block, const Features& features) {
  const bool wide = is_wide(first);
  const Encoding encoding{wide ? first << 16 | second : first, pc, in_it_block};
  Instruction i = match(!wide                         ? patterns16()
                        : is_coprocessor_space(first) ? float_patterns()
                                                      : patterns32(),
                        encoding, features);
  i.bytes = wide ? 4 : 2;
  settle_pc(i);
  i.access_bytes = access_bytes_of(i.operation);
  set_masks(i);
  return i;
}

}  // namespace lutra::mcu::thumb
