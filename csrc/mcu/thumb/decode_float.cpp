#include <array>

#include "mcu/thumb/floating.hpp"
#include "mcu/thumb/tables.hpp"

// Floating-point encodings, single precision ("ARMv7-M Architecture Reference Manual", A6.4 to A6.7).
// Registers of double precision can be loaded, stored and moved: functions save them.
namespace lutra::mcu::thumb {

namespace {

using Op = Operation;
using Time = TimingClass;

constexpr uint32_t kSingles = 32;

// A single register's number is its field with the extra bit below; a double's has it above, and is two
// singles.
uint8_t single(uint32_t field4, uint32_t extra) { return static_cast<uint8_t>(field4 << 1 | extra); }
uint8_t double_as_single(uint32_t field4, uint32_t extra) {
  return static_cast<uint8_t>((extra << 4 | field4) << 1);
}
bool is_double(const Encoding& e) { return field(e.word, 8, 8) != 0; }

void operands(const Encoding& e, Instruction& i) {
  i.rd = single(field(e.word, 15, 12), field(e.word, 22, 22));
  i.rn = single(field(e.word, 19, 16), field(e.word, 7, 7));
  i.rm = single(field(e.word, 3, 0), field(e.word, 5, 5));
}

void unary(const Encoding& e, Instruction& i) {
  operands(e, i);
  i.rn = 0;
}

void compare_zero(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = 1;
}

void set_transferred(const Encoding& e, Instruction& i, uint32_t count) {
  const uint32_t extra = field(e.word, 22, 22);
  const uint32_t code = field(e.word, 15, 12);
  i.rd = is_double(e) ? double_as_single(code, extra) : single(code, extra);
  i.register_count = static_cast<uint8_t>(count);
  if (count == 0 || i.rd + count > kSingles) i.operation = Op::unpredictable;
}

/// VLDR, VSTR: a constant offset.
void transfer(const Encoding& e, Instruction& i) {
  set_transferred(e, i, is_double(e) ? 2 : 1);
  i.rn = register_at(e.word, 16);
  const uint32_t offset = 4 * field(e.word, 7, 0);
  i.immediate = field(e.word, 23, 23) ? offset : 0U - offset;
  if (i.rn != kPc) return;
  i.rn = kZero;
  i.immediate += aligned_pc_value(e.pc);
  if (i.operation == Op::vstm) i.operation = Op::unpredictable;
}

/// VLDM, VSTM: upwards from the base, or downwards with write-back.
void transfer_multiple(const Encoding& e, Instruction& i) {
  set_transferred(e, i, field(e.word, 7, 0) & ~uint32_t{is_double(e)});
  i.rn = register_at(e.word, 16);
  const bool down = field(e.word, 24, 24) != 0;
  i.index = down ? Index::pre : Index::post;
  i.variant = static_cast<uint8_t>(field(e.word, 21, 21));
  if (i.rn == kPc) i.operation = Op::unpredictable;
}

/// One single and one core register (in ra).
void move_core(const Encoding& e, Instruction& i) {
  i.rd = single(field(e.word, 19, 16), field(e.word, 7, 7));
  i.ra = register_at(e.word, 12);
}

/// Two singles, from rm on, and the core registers ra and rn.
void move_core_pair(const Encoding& e, Instruction& i) {
  const uint32_t extra = field(e.word, 5, 5);
  const uint32_t code = field(e.word, 3, 0);
  i.rm = is_double(e) ? double_as_single(code, extra) : single(code, extra);
  i.ra = register_at(e.word, 12);
  i.rn = register_at(e.word, 16);
  if (i.rm + 2U > kSingles || i.rn == kPc) i.operation = Op::unpredictable;
}

/// variant: 1 where the flags go to APSR.
void move_status(const Encoding& e, Instruction& i) {
  i.ra = register_at(e.word, 12);
  if (i.operation != Op::vmrs || i.ra != kPc) return;
  i.ra = kZero;
  i.variant = 1;
  i.sets_flags = true;
}

/// VFPExpandImm of the architecture manual.
void immediate(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.rm = 0;
  const uint32_t code = field(e.word, 19, 16) << 4 | field(e.word, 3, 0);
  const uint32_t exponent = (code & 0x40) ? 0x3E000000 : 0x40000000;
  i.immediate = (code & 0x80) << 24 | exponent | (code & 0x3F) << 19;
}

/// VCVT and VCVTR to an integer: bit 16 says signed, bit 7 towards zero.
void to_integer(const Encoding& e, Instruction& i) {
  unary(e, i);
  const Rounding rounding = field(e.word, 7, 7) ? Rounding::to_zero : Rounding::even;
  i.variant = static_cast<uint8_t>(static_cast<uint32_t>(rounding) << 1 | field(e.word, 16, 16));
}

/// VCVTA and the like: the rounding is in bits 17-16, bit 7 says signed.
void to_integer_rounding(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = static_cast<uint8_t>(field(e.word, 17, 16) << 1 | field(e.word, 7, 7));
}

void to_float(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = static_cast<uint8_t>(field(e.word, 7, 7));
}

void round_directed(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = static_cast<uint8_t>(field(e.word, 17, 16));
}

void round_to_zero(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = static_cast<uint8_t>(Rounding::to_zero);
}

void round_to_even(const Encoding& e, Instruction& i) {
  unary(e, i);
  i.variant = static_cast<uint8_t>(Rounding::even);
}

/// VSEL: equal, overflow, greater or equal, greater; `variant` is the condition.
void select(const Encoding& e, Instruction& i) {
  operands(e, i);
  constexpr uint8_t kConditions[] = {0, 6, 10, 12};
  i.variant = kConditions[field(e.word, 21, 20)];
}

constexpr Needs kFpu = Needs::fpu;
constexpr Needs kV5 = Needs::fpu_v5;

constexpr auto kPatterns = std::to_array<Pattern>({
    // core registers; these come before the multiple transfers, whose space they share
    {0xFFF00FD0, 0xEC400A10, Op::vmov_pair_from_core, Time::float_simple, move_core_pair, kFpu},
    {0xFFF00FD0, 0xEC500A10, Op::vmov_pair_to_core, Time::float_simple, move_core_pair, kFpu},
    {0xFFF00FD0, 0xEC400B10, Op::vmov_pair_from_core, Time::float_simple, move_core_pair, kFpu},
    {0xFFF00FD0, 0xEC500B10, Op::vmov_pair_to_core, Time::float_simple, move_core_pair, kFpu},
    {0xFFF00F7F, 0xEE000A10, Op::vmov_from_core, Time::float_simple, move_core, kFpu},
    {0xFFF00F7F, 0xEE100A10, Op::vmov_to_core, Time::float_simple, move_core, kFpu},
    {0xFFFF0FFF, 0xEEF10A10, Op::vmrs, Time::float_simple, move_status, kFpu},
    {0xFFFF0FFF, 0xEEE10A10, Op::vmsr, Time::float_simple, move_status, kFpu},
    // loads and stores
    {0xFF300E00, 0xED000A00, Op::vstm, Time::float_store, transfer, kFpu},
    {0xFF300E00, 0xED100A00, Op::vldm, Time::float_load, transfer, kFpu},
    {0xFF900E00, 0xEC800A00, Op::vstm, Time::float_store, transfer_multiple, kFpu},
    {0xFF900E00, 0xEC900A00, Op::vldm, Time::float_load, transfer_multiple, kFpu},
    {0xFFB00E00, 0xED200A00, Op::vstm, Time::float_store, transfer_multiple, kFpu},
    {0xFFB00E00, 0xED300A00, Op::vldm, Time::float_load, transfer_multiple, kFpu},
    // arithmetic
    {0xFFB00F50, 0xEE000A00, Op::vmla, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEE000A40, Op::vmls, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEE100A00, Op::vnmls, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEE100A40, Op::vnmla, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEE200A00, Op::vmul, Time::float_simple, operands, kFpu},
    {0xFFB00F50, 0xEE200A40, Op::vnmul, Time::float_simple, operands, kFpu},
    {0xFFB00F50, 0xEE300A00, Op::vadd, Time::float_simple, operands, kFpu},
    {0xFFB00F50, 0xEE300A40, Op::vsub, Time::float_simple, operands, kFpu},
    {0xFFB00F50, 0xEE800A00, Op::vdiv, Time::float_divide, operands, kFpu},
    {0xFFB00F50, 0xEE900A00, Op::vfnms, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEE900A40, Op::vfnma, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEEA00A00, Op::vfma, Time::float_accumulate, operands, kFpu},
    {0xFFB00F50, 0xEEA00A40, Op::vfms, Time::float_accumulate, operands, kFpu},
    {0xFFB00FF0, 0xEEB00A00, Op::vmov_immediate, Time::float_simple, immediate, kFpu},
    {0xFFBF0FD0, 0xEEB00A40, Op::vmov, Time::float_simple, unary, kFpu},
    {0xFFBF0FD0, 0xEEB00AC0, Op::vabs, Time::float_simple, unary, kFpu},
    {0xFFBF0FD0, 0xEEB10A40, Op::vneg, Time::float_simple, unary, kFpu},
    {0xFFBF0FD0, 0xEEB10AC0, Op::vsqrt, Time::float_divide, unary, kFpu},
    {0xFFBF0F50, 0xEEB40A40, Op::vcmp, Time::float_simple, unary, kFpu},
    {0xFFBF0F7F, 0xEEB50A40, Op::vcmp, Time::float_simple, compare_zero, kFpu},
    {0xFFBF0FD0, 0xEEB60A40, Op::vrint, Time::float_simple, round_to_even, kV5},
    {0xFFBF0FD0, 0xEEB60AC0, Op::vrint, Time::float_simple, round_to_zero, kV5},
    {0xFFBF0FD0, 0xEEB70A40, Op::vrint, Time::float_simple, round_to_even, kV5},
    {0xFFBF0F50, 0xEEB80A40, Op::vcvt_to_float, Time::float_simple, to_float, kFpu},
    {0xFFBE0F50, 0xEEBC0A40, Op::vcvt_to_integer, Time::float_simple, to_integer, kFpu},
    // FPv5
    {0xFF800F50, 0xFE000A00, Op::vsel, Time::float_simple, select, kV5},
    {0xFFB00F50, 0xFE800A00, Op::vmaxnm, Time::float_simple, operands, kV5},
    {0xFFB00F50, 0xFE800A40, Op::vminnm, Time::float_simple, operands, kV5},
    {0xFFBC0FD0, 0xFEB80A40, Op::vrint, Time::float_simple, round_directed, kV5},
    {0xFFBC0F50, 0xFEBC0A40, Op::vcvt_to_integer, Time::float_simple, to_integer_rounding, kV5},
});

}  // namespace

std::span<const Pattern> float_patterns() { return kPatterns; }

}  // namespace lutra::mcu::thumb
