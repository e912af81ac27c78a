#include <array>
#include <bit>

#include "mcu/thumb/tables.hpp"

// 32-bit encodings except floating point ("ARMv7-M Architecture Reference Manual", A5.3). A comment names the
// architecture's alias where the operation has another name.
namespace lutra::mcu::thumb {

namespace {

using Op = Operation;
using Time = TimingClass;

void none(const Encoding&, Instruction&) {}

// Fields that most encodings have at the same place.
uint8_t field_rn(const Encoding& e) { return register_at(e.word, 16); }
uint8_t field_rd(const Encoding& e) { return register_at(e.word, 8); }
uint8_t field_rm(const Encoding& e) { return register_at(e.word, 0); }
uint8_t field_rt(const Encoding& e) { return register_at(e.word, 12); }
uint32_t immediate5(const Encoding& e) { return field(e.word, 14, 12) << 2 | field(e.word, 7, 6); }
uint32_t immediate12(const Encoding& e) {
  return field(e.word, 26, 26) << 11 | field(e.word, 14, 12) << 8 | field(e.word, 7, 0);
}

// --- data processing ---

void shifted_register(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.sets_flags = field(e.word, 20, 20);
  set_immediate_shift(i, field(e.word, 5, 4), immediate5(e));
  if (i.shifter != Shifter::none) i.timing = Time::alu_shift;
}

void shifted_register_move(const Encoding& e, Instruction& i) {
  shifted_register(e, i);
  i.rn = kZero;
}

void shifted_register_test(const Encoding& e, Instruction& i) {
  shifted_register(e, i);
  i.rd = kZero;
}

void pack_halves(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.shift = static_cast<uint8_t>(immediate5(e));
  if (i.operation == Op::pkhtb && i.shift == 0) i.shift = 32;
}

/// ThumbExpandImm_C of the architecture manual.
void set_modified_immediate(const Encoding& e, Instruction& i) {
  const uint32_t code = immediate12(e);
  const uint32_t byte = code & 0xFF;
  switch (code >> 8) {
    case 0:
      i.immediate = byte;
      return;
    case 1:
      i.immediate = byte << 16 | byte;
      return;
    case 2:
      i.immediate = byte << 24 | byte << 8;
      return;
    case 3:
      i.immediate = byte * 0x01010101U;
      return;
    default:
      break;
  }
  i.immediate = std::rotr(0x80 | (code & 0x7F), static_cast<int>(code >> 7));
  i.shifter = Shifter::immediate_carry;
}

void modified_immediate(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.sets_flags = field(e.word, 20, 20);
  set_modified_immediate(e, i);
}

void modified_immediate_move(const Encoding& e, Instruction& i) {
  modified_immediate(e, i);
  i.rn = kZero;
}

void modified_immediate_test(const Encoding& e, Instruction& i) {
  modified_immediate(e, i);
  i.rd = kZero;
}

void plain_immediate12(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.immediate = immediate12(e);
  if (i.rn != kPc) return;
  const uint32_t base = aligned_pc_value(e.pc);  // ADR
  i.immediate = i.operation == Op::add ? base + i.immediate : base - i.immediate;
  i.operation = Op::mov;
  i.rn = kZero;
}

void plain_immediate16(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.immediate = field(e.word, 19, 16) << 12 | immediate12(e);
}

void saturate(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.immediate = field(e.word, 4, 0) + (i.operation == Op::ssat ? 1 : 0);
  i.shifter = field(e.word, 21, 21) ? Shifter::asr : Shifter::lsl;
  i.shift = static_cast<uint8_t>(immediate5(e));
  if (i.shift > 0) return;
  if (i.shifter == Shifter::asr) i.operation = Op::unpredictable;  // the space of SSAT16 and USAT16
  i.shifter = Shifter::none;
}

void saturate_halves(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.immediate = field(e.word, 3, 0) + (i.operation == Op::ssat16 ? 1 : 0);
}

void extract_field(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.shift = static_cast<uint8_t>(immediate5(e));
  i.immediate = field(e.word, 4, 0) + 1;
  if (i.shift + i.immediate > 32) i.operation = Op::unpredictable;
}

void insert_field(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  if (i.rn == kPc) i.rn = kZero;  // BFC
  i.shift = static_cast<uint8_t>(immediate5(e));
  i.immediate = field(e.word, 4, 0) + 1 - i.shift;
  if (field(e.word, 4, 0) < i.shift) i.operation = Op::unpredictable;
}

void shift_register(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.sets_flags = field(e.word, 20, 20);
  i.shifter = i.operation == Op::lsl   ? Shifter::lsl
              : i.operation == Op::lsr ? Shifter::lsr
              : i.operation == Op::asr ? Shifter::asr
                                       : Shifter::ror;
}

void extend(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.shift = static_cast<uint8_t>(8 * field(e.word, 5, 4));
}

void extend_move(const Encoding& e, Instruction& i) {
  extend(e, i);
  i.rn = kZero;
}

void parallel(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.variant = static_cast<uint8_t>(field(e.word, 22, 20) << 4 | field(e.word, 6, 4));
  const uint32_t combination = field(e.word, 22, 20);
  if (combination == 3 || combination == 7 || field(e.word, 5, 4) == 3) i.operation = Op::undefined;
}

void three_registers(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
}

/// The operand is coded twice, which must agree.
void unary(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.rm = field_rm(e);
  if (field_rn(e) != i.rm) i.operation = Op::unpredictable;
}

// --- multiplication ---

void multiply_accumulate(const Encoding& e, Instruction& i) {
  three_registers(e, i);
  i.ra = field_rt(e);
  i.variant = static_cast<uint8_t>(field(e.word, 5, 4));
}

/// Accumulating to pc means not accumulating (SMULBB and the like).
void multiply_maybe_accumulate(const Encoding& e, Instruction& i) {
  multiply_accumulate(e, i);
  if (i.ra != kPc) return;
  i.ra = kZero;
  i.timing = Time::multiply;
}

void multiply_long(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  i.ra = field_rd(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.variant = static_cast<uint8_t>(field(e.word, 5, 4));
  if (i.rd == i.ra) i.operation = Op::unpredictable;
}

// --- loads and stores ---

void immediate12_offset(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  i.rn = field_rn(e);
  i.immediate = field(e.word, 11, 0);
}

void register_offset(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.shift = static_cast<uint8_t>(field(e.word, 5, 4));
}

void immediate8_offset(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  i.rn = field_rn(e);
  const bool indexed = field(e.word, 10, 10);
  const bool up = field(e.word, 9, 9);
  const bool writes_back = field(e.word, 8, 8);
  i.immediate = up ? field(e.word, 7, 0) : 0U - field(e.word, 7, 0);
  if (!indexed && !writes_back) i.operation = Op::undefined;
  if (writes_back) i.index = indexed ? Index::pre : Index::post;
  if (writes_back && (i.rn == i.rd || i.rn == kPc)) i.operation = Op::unpredictable;
}

void literal(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  const uint32_t offset = field(e.word, 11, 0);
  i.immediate = field(e.word, 23, 23) ? aligned_pc_value(e.pc) + offset : aligned_pc_value(e.pc) - offset;
}

void double_transfer(const Encoding& e, Instruction& i) {
  i.rd = field_rt(e);
  i.ra = field_rd(e);
  i.rn = field_rn(e);
  const bool indexed = field(e.word, 24, 24);
  const bool up = field(e.word, 23, 23);
  const bool writes_back = field(e.word, 21, 21);
  const uint32_t offset = 4 * field(e.word, 7, 0);
  i.immediate = up ? offset : 0U - offset;
  if (writes_back) i.index = indexed ? Index::pre : Index::post;
  if (i.rn == kPc && i.operation == Op::ldrd && !writes_back) {
    i.rn = kZero;
    i.immediate += aligned_pc_value(e.pc);
  }
  const bool base_is_transferred = i.rn == i.rd || i.rn == i.ra;
  if ((writes_back && base_is_transferred) || (i.operation == Op::ldrd && i.rd == i.ra))
    i.operation = Op::unpredictable;
  if (!indexed && !writes_back) i.operation = Op::undefined;  // exclusive accesses share the space
}

void multiple(const Encoding& e, Instruction& i) {
  const bool loads = field(e.word, 20, 20);
  const bool writes_back = field(e.word, 21, 21);
  i.rn = field_rn(e);
  i.immediate = field(e.word, 15, 0);
  i.register_count = static_cast<uint8_t>(std::popcount(i.immediate));
  i.index = field(e.word, 24, 24) ? Index::pre : Index::post;
  i.variant = writes_back;
  const bool has_sp = i.immediate >> kSp & 1;
  const bool has_pc = i.immediate >> kPc & 1;
  const bool has_lr = i.immediate >> kLr & 1;
  const bool overwrites_base = writes_back && (i.immediate >> i.rn & 1);
  if (loads && has_pc) i.operation = Op::ldm_pc;
  if (i.immediate == 0 || has_sp || (has_pc && (!loads || has_lr)) || overwrites_base)
    i.operation = Op::unpredictable;
}

void branch_table(const Encoding& e, Instruction& i) {
  i.rn = field_rn(e);
  i.rm = field_rm(e);
  i.shift = i.operation == Op::tbh ? 1 : 0;
  if (i.rn != kPc) return;
  i.rn = kZero;
  i.immediate = pc_value(e.pc);
}

// --- branches and system ---

void branch_conditional(const Encoding& e, Instruction& i) {
  i.condition = static_cast<uint8_t>(field(e.word, 25, 22));
  if (i.condition >= kAlways) i.operation = Op::undefined;
  const uint32_t offset = field(e.word, 26, 26) << 20 | field(e.word, 11, 11) << 19 |
                          field(e.word, 13, 13) << 18 | field(e.word, 21, 16) << 12 |
                          field(e.word, 10, 0) << 1;
  i.immediate = pc_value(e.pc) + sign_extended(offset, 21);
}

void branch(const Encoding& e, Instruction& i) {
  const uint32_t sign = field(e.word, 26, 26);
  const uint32_t i1 = field(e.word, 13, 13) ^ sign ^ 1;
  const uint32_t i2 = field(e.word, 11, 11) ^ sign ^ 1;
  const uint32_t offset =
      sign << 24 | i1 << 23 | i2 << 22 | field(e.word, 25, 16) << 12 | field(e.word, 10, 0) << 1;
  i.immediate = pc_value(e.pc) + sign_extended(offset, 25);
}

/// SYSm numbers of the special registers that can be read or written without effect when nothing ever
/// interrupts.
bool is_interrupt_mask(uint32_t number) { return number >= 16 && number <= 19; }  // PRIMASK ... FAULTMASK
bool is_status(uint32_t number) { return number <= 3; }  // APSR and its combinations with IPSR and EPSR

void read_special(const Encoding& e, Instruction& i) {
  i.rd = field_rd(e);
  i.immediate = field(e.word, 7, 0);
  i.variant = is_status(i.immediate);
  if (!is_status(i.immediate) && !is_interrupt_mask(i.immediate)) i.operation = Op::undefined;
}

/// variant: bit 1 writes NZCVQ, bit 0 GE; none for the interrupt masks.
void write_special(const Encoding& e, Instruction& i) {
  i.rn = field_rn(e);
  i.immediate = field(e.word, 7, 0);
  if (is_status(i.immediate))
    i.variant = static_cast<uint8_t>(field(e.word, 11, 10));
  else if (!is_interrupt_mask(i.immediate))
    i.operation = Op::undefined;
}

constexpr Needs kDsp = Needs::dsp;
constexpr Needs kBase = Needs::baseline;

constexpr auto kPatterns = std::to_array<Pattern>({
    // data processing, shifted register: comparisons are what would write to pc
    {0xFFF08F00, 0xEA100F00, Op::tst, Time::alu, shifted_register_test},
    {0xFFE08000, 0xEA000000, Op::and_, Time::alu, shifted_register},
    {0xFFE08000, 0xEA200000, Op::bic, Time::alu, shifted_register},
    {0xFFEF8000, 0xEA4F0000, Op::mov, Time::alu, shifted_register_move},
    {0xFFE08000, 0xEA400000, Op::orr, Time::alu, shifted_register},
    {0xFFEF8000, 0xEA6F0000, Op::mvn, Time::alu, shifted_register_move},
    {0xFFE08000, 0xEA600000, Op::orn, Time::alu, shifted_register},
    {0xFFF08F00, 0xEA900F00, Op::teq, Time::alu, shifted_register_test},
    {0xFFE08000, 0xEA800000, Op::eor, Time::alu, shifted_register},
    {0xFFF08030, 0xEAC00000, Op::pkhbt, Time::simd, pack_halves, kDsp},
    {0xFFF08030, 0xEAC00020, Op::pkhtb, Time::simd, pack_halves, kDsp},
    {0xFFF08F00, 0xEB100F00, Op::cmn, Time::alu, shifted_register_test},
    {0xFFE08000, 0xEB000000, Op::add, Time::alu, shifted_register},
    {0xFFE08000, 0xEB400000, Op::adc, Time::alu, shifted_register},
    {0xFFE08000, 0xEB600000, Op::sbc, Time::alu, shifted_register},
    {0xFFF08F00, 0xEBB00F00, Op::cmp, Time::alu, shifted_register_test},
    {0xFFE08000, 0xEBA00000, Op::sub, Time::alu, shifted_register},
    {0xFFE08000, 0xEBC00000, Op::rsb, Time::alu, shifted_register},
    // data processing, modified immediate
    {0xFBF08F00, 0xF0100F00, Op::tst, Time::alu, modified_immediate_test},
    {0xFBE08000, 0xF0000000, Op::and_, Time::alu, modified_immediate},
    {0xFBE08000, 0xF0200000, Op::bic, Time::alu, modified_immediate},
    {0xFBEF8000, 0xF04F0000, Op::mov, Time::alu, modified_immediate_move},
    {0xFBE08000, 0xF0400000, Op::orr, Time::alu, modified_immediate},
    {0xFBEF8000, 0xF06F0000, Op::mvn, Time::alu, modified_immediate_move},
    {0xFBE08000, 0xF0600000, Op::orn, Time::alu, modified_immediate},
    {0xFBF08F00, 0xF0900F00, Op::teq, Time::alu, modified_immediate_test},
    {0xFBE08000, 0xF0800000, Op::eor, Time::alu, modified_immediate},
    {0xFBF08F00, 0xF1100F00, Op::cmn, Time::alu, modified_immediate_test},
    {0xFBE08000, 0xF1000000, Op::add, Time::alu, modified_immediate},
    {0xFBE08000, 0xF1400000, Op::adc, Time::alu, modified_immediate},
    {0xFBE08000, 0xF1600000, Op::sbc, Time::alu, modified_immediate},
    {0xFBF08F00, 0xF1B00F00, Op::cmp, Time::alu, modified_immediate_test},
    {0xFBE08000, 0xF1A00000, Op::sub, Time::alu, modified_immediate},
    {0xFBE08000, 0xF1C00000, Op::rsb, Time::alu, modified_immediate},
    // data processing, plain immediate
    {0xFBF08000, 0xF2000000, Op::add, Time::alu, plain_immediate12},
    {0xFBF08000, 0xF2400000, Op::mov, Time::alu, plain_immediate16},
    {0xFBF08000, 0xF2A00000, Op::sub, Time::alu, plain_immediate12},
    {0xFBF08000, 0xF2C00000, Op::movt, Time::alu, plain_immediate16},
    {0xFFF0F0F0, 0xF3200000, Op::ssat16, Time::saturate, saturate_halves, kDsp},
    {0xFFD08020, 0xF3000000, Op::ssat, Time::saturate, saturate},
    {0xFFF08020, 0xF3400000, Op::sbfx, Time::simd, extract_field},
    {0xFFF08020, 0xF3600000, Op::bfi, Time::alu_shift, insert_field},
    {0xFFF0F0F0, 0xF3A00000, Op::usat16, Time::saturate, saturate_halves, kDsp},
    {0xFFD08020, 0xF3800000, Op::usat, Time::saturate, saturate},
    {0xFFF08020, 0xF3C00000, Op::ubfx, Time::simd, extract_field},
    // data processing, register
    {0xFFE0F0F0, 0xFA00F000, Op::lsl, Time::alu_shift, shift_register},
    {0xFFE0F0F0, 0xFA20F000, Op::lsr, Time::alu_shift, shift_register},
    {0xFFE0F0F0, 0xFA40F000, Op::asr, Time::alu_shift, shift_register},
    {0xFFE0F0F0, 0xFA60F000, Op::ror, Time::alu_shift, shift_register},
    {0xFFFFF0C0, 0xFA0FF080, Op::sxtah, Time::simd, extend_move},  // SXTH
    {0xFFFFF0C0, 0xFA1FF080, Op::uxtah, Time::simd, extend_move},  // UXTH
    {0xFFFFF0C0, 0xFA2FF080, Op::sxtab16, Time::simd, extend_move, kDsp},
    {0xFFFFF0C0, 0xFA3FF080, Op::uxtab16, Time::simd, extend_move, kDsp},
    {0xFFFFF0C0, 0xFA4FF080, Op::sxtab, Time::simd, extend_move},  // SXTB
    {0xFFFFF0C0, 0xFA5FF080, Op::uxtab, Time::simd, extend_move},  // UXTB
    {0xFFF0F0C0, 0xFA00F080, Op::sxtah, Time::simd, extend, kDsp},
    {0xFFF0F0C0, 0xFA10F080, Op::uxtah, Time::simd, extend, kDsp},
    {0xFFF0F0C0, 0xFA20F080, Op::sxtab16, Time::simd, extend, kDsp},
    {0xFFF0F0C0, 0xFA30F080, Op::uxtab16, Time::simd, extend, kDsp},
    {0xFFF0F0C0, 0xFA40F080, Op::sxtab, Time::simd, extend, kDsp},
    {0xFFF0F0C0, 0xFA50F080, Op::uxtab, Time::simd, extend, kDsp},
    {0xFFF0F0F0, 0xFA80F080, Op::qadd, Time::saturate, three_registers, kDsp},
    {0xFFF0F0F0, 0xFA80F090, Op::qdadd, Time::saturate, three_registers, kDsp},
    {0xFFF0F0F0, 0xFA80F0A0, Op::qsub, Time::saturate, three_registers, kDsp},
    {0xFFF0F0F0, 0xFA80F0B0, Op::qdsub, Time::saturate, three_registers, kDsp},
    {0xFFF0F0F0, 0xFA90F080, Op::rev, Time::simd, unary},
    {0xFFF0F0F0, 0xFA90F090, Op::rev16, Time::simd, unary},
    {0xFFF0F0F0, 0xFA90F0A0, Op::rbit, Time::simd, unary},
    {0xFFF0F0F0, 0xFA90F0B0, Op::revsh, Time::simd, unary},
    {0xFFF0F0F0, 0xFAA0F080, Op::sel, Time::simd, three_registers, kDsp},
    {0xFFF0F0F0, 0xFAB0F080, Op::clz, Time::alu, unary},
    {0xFF80F080, 0xFA80F000, Op::parallel, Time::simd, parallel, kDsp},
    // multiplication and division
    {0xFFF0F0F0, 0xFB00F000, Op::mul, Time::multiply, three_registers},
    {0xFFF000F0, 0xFB000000, Op::mla, Time::multiply_accumulate, multiply_accumulate},
    {0xFFF000F0, 0xFB000010, Op::mls, Time::multiply_accumulate, multiply_accumulate},
    {0xFFF000C0, 0xFB100000, Op::smlaxy, Time::multiply_accumulate, multiply_maybe_accumulate, kDsp},
    {0xFFF000E0, 0xFB200000, Op::smlad, Time::multiply_accumulate, multiply_maybe_accumulate, kDsp},
    {0xFFF000E0, 0xFB300000, Op::smlawy, Time::multiply_accumulate, multiply_maybe_accumulate, kDsp},
    {0xFFF000E0, 0xFB400000, Op::smlsd, Time::multiply_accumulate, multiply_maybe_accumulate, kDsp},
    {0xFFF000E0, 0xFB500000, Op::smmla, Time::multiply_accumulate, multiply_maybe_accumulate, kDsp},
    {0xFFF000E0, 0xFB600000, Op::smmls, Time::multiply_accumulate, multiply_accumulate, kDsp},
    {0xFFF000F0, 0xFB700000, Op::usada8, Time::saturate, multiply_maybe_accumulate, kDsp},
    {0xFFF000F0, 0xFB800000, Op::smull, Time::multiply_long, multiply_long},
    {0xFFF0F0F0, 0xFB90F0F0, Op::sdiv, Time::divide, three_registers},
    {0xFFF000F0, 0xFBA00000, Op::umull, Time::multiply_long, multiply_long},
    {0xFFF0F0F0, 0xFBB0F0F0, Op::udiv, Time::divide, three_registers},
    {0xFFF000F0, 0xFBC00000, Op::smlal, Time::multiply_accumulate_long, multiply_long},
    {0xFFF000C0, 0xFBC00080, Op::smlalxy, Time::multiply_accumulate_long, multiply_long, kDsp},
    {0xFFF000E0, 0xFBC000C0, Op::smlald, Time::multiply_accumulate_long, multiply_long, kDsp},
    {0xFFF000E0, 0xFBD000C0, Op::smlsld, Time::multiply_accumulate_long, multiply_long, kDsp},
    {0xFFF000F0, 0xFBE00000, Op::umlal, Time::multiply_accumulate_long, multiply_long},
    {0xFFF000F0, 0xFBE00060, Op::umaal, Time::multiply_accumulate_long, multiply_long, kDsp},
    // multiple and double transfers, table branches
    {0xFFD0A000, 0xE8800000, Op::stm, Time::store_multiple, multiple},
    {0xFFD02000, 0xE8900000, Op::ldm, Time::load_multiple, multiple},
    {0xFFD0A000, 0xE9000000, Op::stm, Time::store_multiple, multiple},
    {0xFFD02000, 0xE9100000, Op::ldm, Time::load_multiple, multiple},
    {0xFFF0FFF0, 0xE8D0F000, Op::tbb, Time::branch_table, branch_table},
    {0xFFF0FFF0, 0xE8D0F010, Op::tbh, Time::branch_table, branch_table},
    {0xFE500000, 0xE8400000, Op::strd, Time::store_double, double_transfer},
    {0xFE500000, 0xE8500000, Op::ldrd, Time::load_double, double_transfer},
    // stores
    {0xFFF00000, 0xF8800000, Op::strb, Time::store, immediate12_offset},
    {0xFFF00FC0, 0xF8000000, Op::strb, Time::store_indexed, register_offset},
    {0xFFF00800, 0xF8000800, Op::strb, Time::store, immediate8_offset},
    {0xFFF00000, 0xF8A00000, Op::strh, Time::store, immediate12_offset},
    {0xFFF00FC0, 0xF8200000, Op::strh, Time::store_indexed, register_offset},
    {0xFFF00800, 0xF8200800, Op::strh, Time::store, immediate8_offset},
    {0xFFF00000, 0xF8C00000, Op::str, Time::store, immediate12_offset},
    {0xFFF00FC0, 0xF8400000, Op::str, Time::store_indexed, register_offset},
    {0xFFF00800, 0xF8400800, Op::str, Time::store, immediate8_offset},
    // bytes and halfwords that would be loaded into pc: preload hints
    {0xFE1FF000, 0xF81FF000, Op::nop, Time::nop, none},
    {0xFFF0F000, 0xF890F000, Op::nop, Time::nop, none},
    {0xFFF0FFC0, 0xF810F000, Op::nop, Time::nop, none},
    {0xFFF0FF00, 0xF810FC00, Op::nop, Time::nop, none},
    {0xFFF0F000, 0xF990F000, Op::nop, Time::nop, none},
    {0xFFF0FFC0, 0xF910F000, Op::nop, Time::nop, none},
    {0xFFF0FF00, 0xF910FC00, Op::nop, Time::nop, none},
    // loads
    {0xFF7F0000, 0xF81F0000, Op::ldrb, Time::load_narrow, literal},
    {0xFFF00000, 0xF8900000, Op::ldrb, Time::load_narrow, immediate12_offset},
    {0xFFF00FC0, 0xF8100000, Op::ldrb, Time::load_narrow, register_offset},
    {0xFFF00800, 0xF8100800, Op::ldrb, Time::load_narrow, immediate8_offset},
    {0xFF7F0000, 0xF83F0000, Op::ldrh, Time::load_narrow, literal},
    {0xFFF00000, 0xF8B00000, Op::ldrh, Time::load_narrow, immediate12_offset},
    {0xFFF00FC0, 0xF8300000, Op::ldrh, Time::load_narrow, register_offset},
    {0xFFF00800, 0xF8300800, Op::ldrh, Time::load_narrow, immediate8_offset},
    {0xFF7F0000, 0xF85F0000, Op::ldr, Time::load, literal},
    {0xFFF00000, 0xF8D00000, Op::ldr, Time::load, immediate12_offset},
    {0xFFF00FC0, 0xF8500000, Op::ldr, Time::load, register_offset},
    {0xFFF00800, 0xF8500800, Op::ldr, Time::load, immediate8_offset},
    {0xFF7F0000, 0xF91F0000, Op::ldrsb, Time::load_narrow, literal},
    {0xFFF00000, 0xF9900000, Op::ldrsb, Time::load_narrow, immediate12_offset},
    {0xFFF00FC0, 0xF9100000, Op::ldrsb, Time::load_narrow, register_offset},
    {0xFFF00800, 0xF9100800, Op::ldrsb, Time::load_narrow, immediate8_offset},
    {0xFF7F0000, 0xF93F0000, Op::ldrsh, Time::load_narrow, literal},
    {0xFFF00000, 0xF9B00000, Op::ldrsh, Time::load_narrow, immediate12_offset},
    {0xFFF00FC0, 0xF9300000, Op::ldrsh, Time::load_narrow, register_offset},
    {0xFFF00800, 0xF9300800, Op::ldrsh, Time::load_narrow, immediate8_offset},
    // system; the conditional branch takes what is left of its space
    {0xFFF0F300, 0xF3808000, Op::msr, Time::system, write_special, kBase},
    {0xFFFFFF00, 0xF3AF8000, Op::nop, Time::nop, none},            // NOP.W and other hints
    {0xFFFFFFF0, 0xF3BF8F40, Op::nop, Time::system, none, kBase},  // DSB
    {0xFFFFFFF0, 0xF3BF8F50, Op::nop, Time::system, none, kBase},  // DMB
    {0xFFFFFFF0, 0xF3BF8F60, Op::nop, Time::system, none, kBase},  // ISB
    {0xFFFFF000, 0xF3EF8000, Op::mrs, Time::system, read_special, kBase},
    {0xF800D000, 0xF0008000, Op::b, Time::branch, branch_conditional},
    {0xF800D000, 0xF0009000, Op::b, Time::branch, branch},
    {0xF800D000, 0xF000D000, Op::bl, Time::branch_link, branch, kBase},
});

}  // namespace

std::span<const Pattern> patterns32() { return kPatterns; }

}  // namespace lutra::mcu::thumb
