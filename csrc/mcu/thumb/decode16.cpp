#include <array>
#include <bit>

#include "mcu/thumb/tables.hpp"

// 16-bit encodings ("ARMv7-M Architecture Reference Manual", A5.2).
namespace lutra::mcu::thumb {

namespace {

using Op = Operation;
using Time = TimingClass;

void none(const Encoding&, Instruction&) {}

void shift_immediate(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rm = low_register_at(e.word, 3);
  set_immediate_shift(i, field(e.word, 12, 11), field(e.word, 10, 6));
  if (i.shifter == Shifter::none) i.timing = Time::alu;  // a plain move
  i.sets_flags = !e.in_it_block;
}

void move_low(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rm = low_register_at(e.word, 3);
  i.sets_flags = true;
  if (e.in_it_block) i.operation = Op::unpredictable;
}

void three_registers(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rn = low_register_at(e.word, 3);
  i.rm = low_register_at(e.word, 6);
  i.sets_flags = !e.in_it_block;
}

void two_registers_immediate3(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rn = low_register_at(e.word, 3);
  i.immediate = field(e.word, 8, 6);
  i.sets_flags = !e.in_it_block;
}

void register_immediate8(const Encoding& e, Instruction& i) {
  i.rd = i.rn = low_register_at(e.word, 8);
  i.immediate = field(e.word, 7, 0);
  i.sets_flags = !e.in_it_block;
}

void move_immediate8(const Encoding& e, Instruction& i) {
  register_immediate8(e, i);
  i.rn = kZero;
}

void compare_immediate8(const Encoding& e, Instruction& i) {
  register_immediate8(e, i);
  i.rd = kZero;
  i.sets_flags = true;
}

void two_registers(const Encoding& e, Instruction& i) {
  i.rd = i.rn = low_register_at(e.word, 0);
  i.rm = low_register_at(e.word, 3);
  i.sets_flags = !e.in_it_block;
}

void shift_register(const Encoding& e, Instruction& i) {
  two_registers(e, i);
  i.shifter = i.operation == Op::lsl   ? Shifter::lsl
              : i.operation == Op::lsr ? Shifter::lsr
              : i.operation == Op::asr ? Shifter::asr
                                       : Shifter::ror;
}

void compare_registers(const Encoding& e, Instruction& i) {
  two_registers(e, i);
  i.rd = kZero;
  i.sets_flags = true;
}

void negate(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rn = low_register_at(e.word, 3);
  i.sets_flags = !e.in_it_block;
}

void invert(const Encoding& e, Instruction& i) {
  two_registers(e, i);
  i.rn = kZero;
}

uint8_t high_rd(uint32_t word) { return static_cast<uint8_t>(field(word, 2, 0) | field(word, 7, 7) << 3); }

void add_high(const Encoding& e, Instruction& i) {
  i.rd = i.rn = high_rd(e.word);
  i.rm = register_at(e.word, 3);
  if (i.rm == kPc) {
    i.rm = kZero;
    i.immediate = pc_value(e.pc);
  }
  if (i.rd != kPc) return;
  if (i.rm == kZero)
    i.operation = Op::unpredictable;  // ADD pc, pc
  else
    i.operation = Op::branch_sum;
  i.timing = Time::branch_register;
  i.rd = i.rn = kZero;
  i.immediate = pc_value(e.pc);
}

void compare_high(const Encoding& e, Instruction& i) {
  i.rn = high_rd(e.word);
  i.rm = register_at(e.word, 3);
  i.sets_flags = true;
}

void move_high(const Encoding& e, Instruction& i) {
  i.rd = high_rd(e.word);
  i.rm = register_at(e.word, 3);
  if (i.rm == kPc) {
    i.rm = kZero;
    i.immediate = pc_value(e.pc);
  }
  if (i.rd != kPc) return;
  i.operation = Op::branch_sum;
  i.timing = Time::branch_register;
  i.rd = kZero;
}

void branch_register(const Encoding& e, Instruction& i) { i.rm = register_at(e.word, 3); }

void load_literal(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 8);
  i.immediate = aligned_pc_value(e.pc) + 4 * field(e.word, 7, 0);
}

void register_offset(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rn = low_register_at(e.word, 3);
  i.rm = low_register_at(e.word, 6);
}

void immediate_offset(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rn = low_register_at(e.word, 3);
  i.immediate = field(e.word, 10, 6) * access_bytes_of(i.operation);
}

void stack_offset(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 8);
  i.rn = kSp;
  i.immediate = 4 * field(e.word, 7, 0);
}

void address_of_literal(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 8);
  i.immediate = aligned_pc_value(e.pc) + 4 * field(e.word, 7, 0);
}

void move_stack(const Encoding& e, Instruction& i) {
  i.rd = i.rn = kSp;
  i.immediate = 4 * field(e.word, 6, 0);
}

void compare_and_branch(const Encoding& e, Instruction& i) {
  i.rn = low_register_at(e.word, 0);
  i.immediate = pc_value(e.pc) + (field(e.word, 9, 9) << 6 | field(e.word, 7, 3) << 1);
}

void unary(const Encoding& e, Instruction& i) {
  i.rd = low_register_at(e.word, 0);
  i.rm = low_register_at(e.word, 3);
}

void set_list(Instruction& i, uint32_t list) {
  i.immediate = list;
  i.register_count = static_cast<uint8_t>(std::popcount(list));
  if (list == 0) i.operation = Op::unpredictable;
}

void push(const Encoding& e, Instruction& i) {
  i.rn = kSp;
  i.index = Index::pre;
  i.variant = 1;
  set_list(i, field(e.word, 7, 0) | field(e.word, 8, 8) << kLr);
}

void pop(const Encoding& e, Instruction& i) {
  i.rn = kSp;
  i.index = Index::post;
  i.variant = 1;
  if (field(e.word, 8, 8)) i.operation = Op::ldm_pc;
  set_list(i, field(e.word, 7, 0) | field(e.word, 8, 8) << kPc);
}

void multiple(const Encoding& e, Instruction& i) {
  i.rn = low_register_at(e.word, 8);
  i.index = Index::post;
  set_list(i, field(e.word, 7, 0));
  const bool loads_base = i.operation == Op::ldm && (i.immediate >> i.rn & 1);
  i.variant = loads_base ? 0 : 1;
}

void if_then(const Encoding& e, Instruction& i) {
  i.immediate = field(e.word, 7, 0);
  const uint32_t condition = i.immediate >> 4;
  const uint32_t mask = i.immediate & 15;
  if (condition == 15 || (condition == kAlways && std::popcount(mask) != 1)) i.operation = Op::unpredictable;
}

void branch_conditional(const Encoding& e, Instruction& i) {
  i.condition = static_cast<uint8_t>(field(e.word, 11, 8));
  i.immediate = pc_value(e.pc) + sign_extended(e.word << 1, 9);
}

void branch(const Encoding& e, Instruction& i) {
  i.immediate = pc_value(e.pc) + sign_extended(e.word << 1, 12);
}

constexpr Needs kBase = Needs::baseline;

constexpr auto kPatterns = std::to_array<Pattern>({
    {0xFFC0, 0x0000, Op::mov, Time::alu, move_low, kBase},
    {0xF800, 0x0000, Op::mov, Time::alu_shift, shift_immediate, kBase},
    {0xF800, 0x0800, Op::mov, Time::alu_shift, shift_immediate, kBase},
    {0xF800, 0x1000, Op::mov, Time::alu_shift, shift_immediate, kBase},
    {0xFE00, 0x1800, Op::add, Time::alu, three_registers, kBase},
    {0xFE00, 0x1A00, Op::sub, Time::alu, three_registers, kBase},
    {0xFE00, 0x1C00, Op::add, Time::alu, two_registers_immediate3, kBase},
    {0xFE00, 0x1E00, Op::sub, Time::alu, two_registers_immediate3, kBase},
    {0xF800, 0x2000, Op::mov, Time::alu, move_immediate8, kBase},
    {0xF800, 0x2800, Op::cmp, Time::alu, compare_immediate8, kBase},
    {0xF800, 0x3000, Op::add, Time::alu, register_immediate8, kBase},
    {0xF800, 0x3800, Op::sub, Time::alu, register_immediate8, kBase},
    // data processing on two low registers
    {0xFFC0, 0x4000, Op::and_, Time::alu, two_registers, kBase},
    {0xFFC0, 0x4040, Op::eor, Time::alu, two_registers, kBase},
    {0xFFC0, 0x4080, Op::lsl, Time::alu_shift, shift_register, kBase},
    {0xFFC0, 0x40C0, Op::lsr, Time::alu_shift, shift_register, kBase},
    {0xFFC0, 0x4100, Op::asr, Time::alu_shift, shift_register, kBase},
    {0xFFC0, 0x4140, Op::adc, Time::alu, two_registers, kBase},
    {0xFFC0, 0x4180, Op::sbc, Time::alu, two_registers, kBase},
    {0xFFC0, 0x41C0, Op::ror, Time::alu_shift, shift_register, kBase},
    {0xFFC0, 0x4200, Op::tst, Time::alu, compare_registers, kBase},
    {0xFFC0, 0x4240, Op::rsb, Time::alu, negate, kBase},
    {0xFFC0, 0x4280, Op::cmp, Time::alu, compare_registers, kBase},
    {0xFFC0, 0x42C0, Op::cmn, Time::alu, compare_registers, kBase},
    {0xFFC0, 0x4300, Op::orr, Time::alu, two_registers, kBase},
    {0xFFC0, 0x4340, Op::mul, Time::multiply, two_registers, kBase},
    {0xFFC0, 0x4380, Op::bic, Time::alu, two_registers, kBase},
    {0xFFC0, 0x43C0, Op::mvn, Time::alu, invert, kBase},
    // any register
    {0xFF00, 0x4400, Op::add, Time::alu, add_high, kBase},
    {0xFF00, 0x4500, Op::cmp, Time::alu, compare_high, kBase},
    {0xFF00, 0x4600, Op::mov, Time::alu, move_high, kBase},
    {0xFF87, 0x4700, Op::bx, Time::branch_register, branch_register, kBase},
    {0xFF87, 0x4780, Op::blx, Time::branch_register, branch_register, kBase},
    // loads and stores
    {0xF800, 0x4800, Op::ldr, Time::load, load_literal, kBase},
    {0xFE00, 0x5000, Op::str, Time::store_indexed, register_offset, kBase},
    {0xFE00, 0x5200, Op::strh, Time::store_indexed, register_offset, kBase},
    {0xFE00, 0x5400, Op::strb, Time::store_indexed, register_offset, kBase},
    {0xFE00, 0x5600, Op::ldrsb, Time::load_narrow, register_offset, kBase},
    {0xFE00, 0x5800, Op::ldr, Time::load, register_offset, kBase},
    {0xFE00, 0x5A00, Op::ldrh, Time::load_narrow, register_offset, kBase},
    {0xFE00, 0x5C00, Op::ldrb, Time::load_narrow, register_offset, kBase},
    {0xFE00, 0x5E00, Op::ldrsh, Time::load_narrow, register_offset, kBase},
    {0xF800, 0x6000, Op::str, Time::store, immediate_offset, kBase},
    {0xF800, 0x6800, Op::ldr, Time::load, immediate_offset, kBase},
    {0xF800, 0x7000, Op::strb, Time::store, immediate_offset, kBase},
    {0xF800, 0x7800, Op::ldrb, Time::load_narrow, immediate_offset, kBase},
    {0xF800, 0x8000, Op::strh, Time::store, immediate_offset, kBase},
    {0xF800, 0x8800, Op::ldrh, Time::load_narrow, immediate_offset, kBase},
    {0xF800, 0x9000, Op::str, Time::store, stack_offset, kBase},
    {0xF800, 0x9800, Op::ldr, Time::load, stack_offset, kBase},
    {0xF800, 0xA000, Op::mov, Time::alu, address_of_literal, kBase},
    {0xF800, 0xA800, Op::add, Time::alu, stack_offset, kBase},
    // miscellaneous
    {0xFF80, 0xB000, Op::add, Time::alu, move_stack, kBase},
    {0xFF80, 0xB080, Op::sub, Time::alu, move_stack, kBase},
    {0xFD00, 0xB100, Op::cbz, Time::branch, compare_and_branch},
    {0xFD00, 0xB900, Op::cbnz, Time::branch, compare_and_branch},
    {0xFFC0, 0xB200, Op::sxtah, Time::simd, unary, kBase},
    {0xFFC0, 0xB240, Op::sxtab, Time::simd, unary, kBase},
    {0xFFC0, 0xB280, Op::uxtah, Time::simd, unary, kBase},
    {0xFFC0, 0xB2C0, Op::uxtab, Time::simd, unary, kBase},
    {0xFE00, 0xB400, Op::stm, Time::store_multiple, push, kBase},
    {0xFE00, 0xBC00, Op::ldm, Time::load_multiple, pop, kBase},
    {0xFFC0, 0xBA00, Op::rev, Time::simd, unary, kBase},
    {0xFFC0, 0xBA40, Op::rev16, Time::simd, unary, kBase},
    {0xFFC0, 0xBAC0, Op::revsh, Time::simd, unary, kBase},
    {0xFF00, 0xBE00, Op::breakpoint, Time::system, none, kBase},
    {0xFFEC, 0xB660, Op::nop, Time::system, none, kBase},  // CPSIE, CPSID: there are no interrupts
    {0xFF0F, 0xBF00, Op::nop, Time::nop, none, kBase},     // NOP, YIELD, WFE, WFI, SEV
    {0xFF00, 0xBF00, Op::it, Time::it, if_then},
    {0xF800, 0xC000, Op::stm, Time::store_multiple, multiple, kBase},
    {0xF800, 0xC800, Op::ldm, Time::load_multiple, multiple, kBase},
    {0xFF00, 0xDE00, Op::undefined, Time::system, none, kBase},
    {0xFF00, 0xDF00, Op::breakpoint, Time::system, none, kBase},  // SVC: nobody handles it
    {0xF000, 0xD000, Op::b, Time::branch, branch_conditional, kBase},
    {0xF800, 0xE000, Op::b, Time::branch, branch, kBase},
});

}  // namespace

std::span<const Pattern> patterns16() { return kPatterns; }

}  // namespace lutra::mcu::thumb
