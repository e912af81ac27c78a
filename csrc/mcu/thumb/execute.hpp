#pragma once

#include <cmath>
#include <cstdint>

#include "mcu/memory.hpp"
#include "mcu/thumb/data_processing.hpp"
#include "mcu/thumb/dsp.hpp"
#include "mcu/thumb/floating.hpp"
#include "mcu/thumb/multiply.hpp"
#include "mcu/thumb/stop.hpp"
#include "mcu/thumb/system.hpp"
#include "mcu/thumb/transfer.hpp"
#include "mcu/timing/retirement.hpp"

namespace lutra::mcu::thumb {

/// Jumps as BX does: bit 0 of the target must say Thumb.
inline void exchange(Retirement& retirement, uint32_t target) {
  if ((target & 1) == 0) [[unlikely]]
    stop(TrapKind::invalid_state, "branch to Arm code: bit 0 of the target is clear");
  retirement.next = target & ~1U;
  retirement.taken = true;
}

inline void branch_to(Retirement& retirement, uint32_t target) {
  retirement.next = target & ~1U;
  retirement.taken = true;
}

inline uint32_t return_address(const Retirement& retirement, const Instruction& i) {
  return (retirement.pc + i.bytes) | 1;
}

/// Carries out one instruction whose condition holds: changes state and memory, and notes in `retirement`
/// what the timing policies ask for. `retirement.next` comes in as the instruction that follows in memory.
template <bool kFaultsUnaligned>
[[gnu::always_inline]] inline void execute(State& state, Memory& memory, const Instruction& i,
                                           Retirement& retirement) {
  using Op = Operation;
  auto& r = state.r;
  auto& s = state.s;
  switch (i.operation) {
    // data processing
    case Op::and_:
      logical(state, i, [](uint32_t n, uint32_t m) { return n & m; });
      break;
    case Op::bic:
      logical(state, i, [](uint32_t n, uint32_t m) { return n & ~m; });
      break;
    case Op::orr:
      logical(state, i, [](uint32_t n, uint32_t m) { return n | m; });
      break;
    case Op::orn:
      logical(state, i, [](uint32_t n, uint32_t m) { return n | ~m; });
      break;
    case Op::eor:
      logical(state, i, [](uint32_t n, uint32_t m) { return n ^ m; });
      break;
    case Op::mov:
      logical(state, i, [](uint32_t, uint32_t m) { return m; });
      break;
    case Op::mvn:
      logical(state, i, [](uint32_t, uint32_t m) { return ~m; });
      break;
    case Op::tst:
      test(state, i, [](uint32_t n, uint32_t m) { return n & m; });
      break;
    case Op::teq:
      test(state, i, [](uint32_t n, uint32_t m) { return n ^ m; });
      break;
    case Op::add:
      add(state, i);
      break;
    case Op::adc:
      add_carry(state, i);
      break;
    case Op::sub:
      subtract(state, i);
      break;
    case Op::sbc:
      subtract_carry(state, i);
      break;
    case Op::rsb:
      reverse_subtract(state, i);
      break;
    case Op::cmp:
      compare(state, i);
      break;
    case Op::cmn:
      compare_negative(state, i);
      break;
    case Op::movt:
      move_top(state, i);
      break;
    case Op::lsl:
    case Op::lsr:
    case Op::asr:
    case Op::ror:
      shift_by_register(state, i);
      break;
    // bit fields, extension, packing
    case Op::sbfx:
      extract_signed(state, i);
      break;
    case Op::ubfx:
      extract_unsigned(state, i);
      break;
    case Op::bfi:
      insert_field(state, i);
      break;
    case Op::sxtab:
      extend_add<int8_t>(state, i);
      break;
    case Op::sxtah:
      extend_add<int16_t>(state, i);
      break;
    case Op::uxtab:
      extend_add<uint8_t>(state, i);
      break;
    case Op::uxtah:
      extend_add<uint16_t>(state, i);
      break;
    case Op::sxtab16:
      extend_add_halves<int8_t>(state, i);
      break;
    case Op::uxtab16:
      extend_add_halves<uint8_t>(state, i);
      break;
    case Op::pkhbt:
      pack_bottom_top(state, i);
      break;
    case Op::pkhtb:
      pack_top_bottom(state, i);
      break;
    case Op::rev:
      r[i.rd] = reverse_bytes(r[i.rm]);
      break;
    case Op::rev16:
      r[i.rd] = reverse_bytes_of_halves(r[i.rm]);
      break;
    case Op::revsh:
      r[i.rd] = reverse_low_half(r[i.rm]);
      break;
    case Op::rbit:
      r[i.rd] = reverse_bits(r[i.rm]);
      break;
    case Op::clz:
      r[i.rd] = leading_zeros(r[i.rm]);
      break;
    // saturation and parallel arithmetic
    case Op::ssat:
      saturate_to_signed(state, i);
      break;
    case Op::usat:
      saturate_to_unsigned(state, i);
      break;
    case Op::ssat16:
      saturate_halves_to_signed(state, i);
      break;
    case Op::usat16:
      saturate_halves_to_unsigned(state, i);
      break;
    case Op::qadd:
      add_saturating(state, i, 1);
      break;
    case Op::qdadd:
      add_saturating(state, i, 2);
      break;
    case Op::qsub:
      add_saturating(state, i, -1);
      break;
    case Op::qdsub:
      add_saturating(state, i, -2);
      break;
    case Op::parallel:
      parallel_arithmetic(state, i);
      break;
    case Op::sel:
      select_bytes(state, i);
      break;
    // multiplication and division
    case Op::mul:
      multiply(state, i);
      break;
    case Op::mla:
      r[i.rd] = r[i.ra] + r[i.rn] * r[i.rm];
      break;
    case Op::mls:
      r[i.rd] = r[i.ra] - r[i.rn] * r[i.rm];
      break;
    case Op::smlaxy:
      multiply_halves_accumulate(state, i);
      break;
    case Op::smlawy:
      multiply_word_by_half_accumulate(state, i);
      break;
    case Op::smlad:
      dual_multiply_accumulate(state, i, 1);
      break;
    case Op::smlsd:
      dual_multiply_accumulate(state, i, -1);
      break;
    case Op::smmla:
      multiply_high_accumulate(state, i, 1);
      break;
    case Op::smmls:
      multiply_high_accumulate(state, i, -1);
      break;
    case Op::usada8:
      sum_of_absolute_differences(state, i);
      break;
    case Op::smull:
      set_long(state, i, signed_product(state, i));
      break;
    case Op::umull:
      set_long(state, i, unsigned_product(state, i));
      break;
    case Op::smlal:
      set_long(state, i, signed_product(state, i) + long_value(state, i));
      break;
    case Op::umlal:
      set_long(state, i, unsigned_product(state, i) + long_value(state, i));
      break;
    case Op::umaal:
      set_long(state, i, unsigned_product(state, i) + r[i.rd] + r[i.ra]);
      break;
    case Op::smlalxy:
      set_long(state, i, static_cast<uint64_t>(int64_t{product_of_halves(state, i)}) + long_value(state, i));
      break;
    case Op::smlald:
      set_long(state, i, static_cast<uint64_t>(dual_product(state, i, 1)) + long_value(state, i));
      break;
    case Op::smlsld:
      set_long(state, i, static_cast<uint64_t>(dual_product(state, i, -1)) + long_value(state, i));
      break;
    case Op::sdiv:
      retirement.operand = divide_signed(state, i);
      break;
    case Op::udiv:
      retirement.operand = divide_unsigned(state, i);
      break;
    // loads and stores
    case Op::ldr:
      retirement.address = load_into<uint32_t, kFaultsUnaligned>(state, memory, i, r[i.rd]);
      break;
    case Op::ldrb:
      retirement.address = load_into<uint8_t, kFaultsUnaligned>(state, memory, i, r[i.rd]);
      break;
    case Op::ldrh:
      retirement.address = load_into<uint16_t, kFaultsUnaligned>(state, memory, i, r[i.rd]);
      break;
    case Op::ldrsb:
      retirement.address = load_into<int8_t, kFaultsUnaligned>(state, memory, i, r[i.rd]);
      break;
    case Op::ldrsh:
      retirement.address = load_into<int16_t, kFaultsUnaligned>(state, memory, i, r[i.rd]);
      break;
    case Op::str:
      retirement.address = store_from<uint32_t, kFaultsUnaligned>(state, memory, i);
      break;
    case Op::strb:
      retirement.address = store_from<uint8_t, kFaultsUnaligned>(state, memory, i);
      break;
    case Op::strh:
      retirement.address = store_from<uint16_t, kFaultsUnaligned>(state, memory, i);
      break;
    case Op::ldrd:
      retirement.address = load_double(state, memory, i);
      break;
    case Op::strd:
      retirement.address = store_double(state, memory, i);
      break;
    case Op::ldm:
      retirement.address = load_multiple(state, memory, i);
      break;
    case Op::stm:
      retirement.address = store_multiple(state, memory, i);
      break;
    // control flow
    case Op::b:
      branch_to(retirement, i.immediate);
      break;
    case Op::bl:
      r[kLr] = return_address(retirement, i);
      branch_to(retirement, i.immediate);
      break;
    case Op::bx:
      exchange(retirement, r[i.rm]);
      break;
    case Op::blx: {
      const uint32_t target = r[i.rm];
      r[kLr] = return_address(retirement, i);
      exchange(retirement, target);
      break;
    }
    case Op::cbz:
      if (r[i.rn] == 0) branch_to(retirement, i.immediate);
      break;
    case Op::cbnz:
      if (r[i.rn] != 0) branch_to(retirement, i.immediate);
      break;
    case Op::tbb:
      retirement.address = address_of(state, i).accessed;
      branch_to(retirement, retirement.pc + 4 + 2U * memory.load<uint8_t>(retirement.address));
      break;
    case Op::tbh:
      retirement.address = address_of(state, i).accessed;
      branch_to(retirement, retirement.pc + 4 + 2U * memory.load<uint16_t>(retirement.address));
      break;
    case Op::branch_sum:
      branch_to(retirement, r[i.rm] + i.immediate);
      break;
    case Op::ldr_pc: {
      uint32_t target = 0;
      retirement.address = load_into<uint32_t, true>(state, memory, i, target);
      exchange(retirement, target);
      break;
    }
    case Op::ldm_pc:
      retirement.address = load_multiple(state, memory, i);
      exchange(retirement, r[kPc]);
      break;
    // system
    case Op::mrs:
      read_status(state, i);
      break;
    case Op::msr:
      write_status(state, i);
      break;
    case Op::nop:
    case Op::it:
      break;
    // floating point
    case Op::vmov:
      s[i.rd] = s[i.rm];
      break;
    case Op::vmov_immediate:
      s[i.rd] = float_of(i.immediate);
      break;
    case Op::vmov_to_core:
      r[i.ra] = bits_of(s[i.rd]);
      break;
    case Op::vmov_from_core:
      s[i.rd] = float_of(r[i.ra]);
      break;
    case Op::vmov_pair_to_core:
      r[i.ra] = bits_of(s[i.rm]);
      r[i.rn] = bits_of(s[i.rm + 1U]);
      break;
    case Op::vmov_pair_from_core:
      s[i.rm] = float_of(r[i.ra]);
      s[i.rm + 1U] = float_of(r[i.rn]);
      break;
    case Op::vmrs:
      read_float_status(state, i);
      break;
    case Op::vmsr:
      write_float_status(state, i);
      break;
    case Op::vabs:
      s[i.rd] = std::fabs(s[i.rm]);
      break;
    case Op::vneg:
      s[i.rd] = -s[i.rm];
      break;
    case Op::vsqrt:
      s[i.rd] = std::sqrt(s[i.rm]);
      break;
    case Op::vadd:
      s[i.rd] = s[i.rn] + s[i.rm];
      break;
    case Op::vsub:
      s[i.rd] = s[i.rn] - s[i.rm];
      break;
    case Op::vmul:
      s[i.rd] = s[i.rn] * s[i.rm];
      break;
    case Op::vnmul:
      s[i.rd] = -(s[i.rn] * s[i.rm]);
      break;
    case Op::vdiv:
      s[i.rd] = s[i.rn] / s[i.rm];
      break;
    case Op::vmla:
      s[i.rd] = s[i.rd] + s[i.rn] * s[i.rm];
      break;
    case Op::vmls:
      s[i.rd] = s[i.rd] - s[i.rn] * s[i.rm];
      break;
    case Op::vnmla:
      s[i.rd] = -s[i.rd] - s[i.rn] * s[i.rm];
      break;
    case Op::vnmls:
      s[i.rd] = -s[i.rd] + s[i.rn] * s[i.rm];
      break;
    case Op::vfma:
      s[i.rd] = std::fma(s[i.rn], s[i.rm], s[i.rd]);
      break;
    case Op::vfms:
      s[i.rd] = std::fma(-s[i.rn], s[i.rm], s[i.rd]);
      break;
    case Op::vfnma:
      s[i.rd] = std::fma(-s[i.rn], s[i.rm], -s[i.rd]);
      break;
    case Op::vfnms:
      s[i.rd] = std::fma(s[i.rn], s[i.rm], -s[i.rd]);
      break;
    case Op::vcmp:
      compare_floats(state, i);
      break;
    case Op::vcvt_to_float:
      convert_to_float(state, i);
      break;
    case Op::vcvt_to_integer:
      convert_to_integer(state, i);
      break;
    case Op::vrint:
      s[i.rd] = rounded(s[i.rm], static_cast<Rounding>(i.variant));
      break;
    case Op::vmaxnm:
      s[i.rd] = larger(s[i.rn], s[i.rm]);
      break;
    case Op::vminnm:
      s[i.rd] = smaller(s[i.rn], s[i.rm]);
      break;
    case Op::vsel:
      s[i.rd] = holds(state, i.variant) ? s[i.rn] : s[i.rm];
      break;
    case Op::vldm:
      retirement.address = load_floats(state, memory, i);
      break;
    case Op::vstm:
      retirement.address = store_floats(state, memory, i);
      break;
    // what ends a call
    case Op::undefined:
      stop(TrapKind::undefined_instruction,
           "the core does not have this instruction, or it is not simulated");
    case Op::unpredictable:
      stop(TrapKind::unpredictable, "the architecture leaves this use unpredictable");
    case Op::end_of_code:
      stop(TrapKind::fetch_fault, "execution ran off the end of the program's code");
    case Op::breakpoint:
      stop(TrapKind::breakpoint, "breakpoint or supervisor call, which nobody handles");
  }
}

}  // namespace lutra::mcu::thumb
