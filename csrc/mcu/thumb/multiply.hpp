#pragma once

#include <bit>
#include <cstdint>

#include "mcu/thumb/arithmetic.hpp"
#include "mcu/thumb/state.hpp"

// Semantics of multiplication and division. `variant` bit 0 selects the high half, the exchanged halves or
// rounding; bit 1 the high half of the first operand.
namespace lutra::mcu::thumb {

inline void multiply(State& state, const Instruction& i) {
  const uint32_t value = state.r[i.rn] * state.r[i.rm];
  if (i.sets_flags) state.set_result(value);
  state.r[i.rd] = value;
}

/// rd = sum, with Q where it does not fit.
inline void set_accumulated(State& state, const Instruction& i, int64_t sum) {
  state.saturated |= sum != as_signed(as_word(sum));
  state.r[i.rd] = as_word(sum);
}

inline int32_t chosen_half(uint32_t value, bool high) { return high ? high_half(value) : low_half(value); }

inline int32_t product_of_halves(const State& state, const Instruction& i) {
  return chosen_half(state.r[i.rn], i.variant & 2) * chosen_half(state.r[i.rm], i.variant & 1);
}

inline void multiply_halves_accumulate(State& state, const Instruction& i) {
  set_accumulated(state, i, int64_t{product_of_halves(state, i)} + as_signed(state.r[i.ra]));
}

/// Bits 47-16 of word x halfword.
inline void multiply_word_by_half_accumulate(State& state, const Instruction& i) {
  const int64_t product = int64_t{as_signed(state.r[i.rn])} * chosen_half(state.r[i.rm], i.variant & 1);
  set_accumulated(state, i, (product >> 16) + as_signed(state.r[i.ra]));
}

/// The two products of halves, the second one times `sign`.
inline int64_t dual_product(const State& state, const Instruction& i, int64_t sign) {
  const uint32_t n = state.r[i.rn];
  const uint32_t m = std::rotr(state.r[i.rm], (i.variant & 1) ? 16 : 0);
  return int64_t{low_half(n) * low_half(m)} + sign * int64_t{high_half(n) * high_half(m)};
}

inline void dual_multiply_accumulate(State& state, const Instruction& i, int64_t sign) {
  set_accumulated(state, i, dual_product(state, i, sign) + as_signed(state.r[i.ra]));
}

/// High word of (accumulator, 0) + sign * product, rounded when asked for.
inline void multiply_high_accumulate(State& state, const Instruction& i, int64_t sign) {
  const int64_t product = int64_t{as_signed(state.r[i.rn])} * as_signed(state.r[i.rm]);
  const uint64_t rounding = (i.variant & 1) ? 0x80000000U : 0;
  const uint64_t sum = (uint64_t{state.r[i.ra]} << 32) + static_cast<uint64_t>(sign * product) + rounding;
  state.r[i.rd] = static_cast<uint32_t>(sum >> 32);
}

inline void sum_of_absolute_differences(State& state, const Instruction& i) {
  uint32_t sum = state.r[i.ra];
  for (uint32_t bit = 0; bit < 32; bit += 8) {
    const uint32_t n = state.r[i.rn] >> bit & 0xFF;
    const uint32_t m = state.r[i.rm] >> bit & 0xFF;
    sum += n > m ? n - m : m - n;
  }
  state.r[i.rd] = sum;
}

// Long results: low word in rd, high word in ra.

inline uint64_t long_value(const State& state, const Instruction& i) {
  return uint64_t{state.r[i.ra]} << 32 | state.r[i.rd];
}

inline void set_long(State& state, const Instruction& i, uint64_t value) {
  state.r[i.rd] = static_cast<uint32_t>(value);
  state.r[i.ra] = static_cast<uint32_t>(value >> 32);
}

inline uint64_t signed_product(const State& state, const Instruction& i) {
  return static_cast<uint64_t>(int64_t{as_signed(state.r[i.rn])} * as_signed(state.r[i.rm]));
}

inline uint64_t unsigned_product(const State& state, const Instruction& i) {
  return uint64_t{state.r[i.rn]} * state.r[i.rm];
}

/// How many bits the quotient of two magnitudes has: what an early-out divider takes its time by.
inline uint32_t quotient_bits(uint32_t dividend, uint32_t divisor) {
  return divisor == 0 ? 0 : static_cast<uint32_t>(std::bit_width(dividend / divisor));
}

inline uint32_t magnitude(uint32_t value) { return as_signed(value) < 0 ? 0U - value : value; }

/// Division by zero gives zero, and the most negative number over -1 itself, as the core does without
/// DIV_0_TRP. Returns the quotient's bits.
inline uint32_t divide_signed(State& state, const Instruction& i) {
  const uint32_t dividend = state.r[i.rn];
  const uint32_t divisor = state.r[i.rm];
  const uint32_t quotient = divisor == 0 ? 0 : magnitude(dividend) / magnitude(divisor);
  state.r[i.rd] = as_signed(dividend ^ divisor) < 0 ? 0U - quotient : quotient;
  return quotient_bits(magnitude(dividend), magnitude(divisor));
}

inline uint32_t divide_unsigned(State& state, const Instruction& i) {
  const uint32_t dividend = state.r[i.rn];
  const uint32_t divisor = state.r[i.rm];
  state.r[i.rd] = divisor == 0 ? 0 : dividend / divisor;
  return quotient_bits(dividend, divisor);
}

}  // namespace lutra::mcu::thumb
