#pragma once

#include <bit>
#include <cstdint>

#include "mcu/thumb/arithmetic.hpp"
#include "mcu/thumb/state.hpp"

// Semantics of the data-processing instructions ("ARMv7-M Architecture Reference Manual", A7.7).
namespace lutra::mcu::thumb {

/// The second operand r[rm] + immediate (one of the two is zero), through the shifter.
inline Shifted second_operand(const State& state, const Instruction& i) {
  const uint32_t value = state.r[i.rm] + i.immediate;
  if (i.shifter == Shifter::none) [[likely]]
    return {value, state.carry};
  if (i.shifter == Shifter::immediate_carry) return {value, value >> 31};
  return shift(value, i.shifter, i.shift, state.carry);
}

inline void set_logical_flags(State& state, Shifted result) {
  state.set_result(result.value);
  state.carry = result.carry;
}

/// rd = combine(rn, second operand), for operations whose carry comes from the shifter.
template <class Combine>
inline void logical(State& state, const Instruction& i, Combine combine) {
  const Shifted second = second_operand(state, i);
  const uint32_t value = combine(state.r[i.rn], second.value);
  if (i.sets_flags) set_logical_flags(state, {value, second.carry});
  state.r[i.rd] = value;
}

/// As `logical`, keeping the flags alone.
template <class Combine>
inline void test(State& state, const Instruction& i, Combine combine) {
  const Shifted second = second_operand(state, i);
  set_logical_flags(state, {combine(state.r[i.rn], second.value), second.carry});
}

inline void add(State& state, const Instruction& i) {
  const uint32_t second = second_operand(state, i).value;
  state.r[i.rd] = add_with_carry(state, state.r[i.rn], second, 0, i.sets_flags);
}

inline void add_carry(State& state, const Instruction& i) {
  const uint32_t second = second_operand(state, i).value;
  state.r[i.rd] = add_with_carry(state, state.r[i.rn], second, state.carry, i.sets_flags);
}

inline void subtract(State& state, const Instruction& i) {
  const uint32_t second = second_operand(state, i).value;
  state.r[i.rd] = add_with_carry(state, state.r[i.rn], ~second, 1, i.sets_flags);
}

inline void subtract_carry(State& state, const Instruction& i) {
  const uint32_t second = second_operand(state, i).value;
  state.r[i.rd] = add_with_carry(state, state.r[i.rn], ~second, state.carry, i.sets_flags);
}

inline void reverse_subtract(State& state, const Instruction& i) {
  const uint32_t second = second_operand(state, i).value;
  state.r[i.rd] = add_with_carry(state, ~state.r[i.rn], second, 1, i.sets_flags);
}

inline void compare(State& state, const Instruction& i) {
  add_with_carry(state, state.r[i.rn], ~second_operand(state, i).value, 1, true);
}

inline void compare_negative(State& state, const Instruction& i) {
  add_with_carry(state, state.r[i.rn], second_operand(state, i).value, 0, true);
}

inline void move_top(State& state, const Instruction& i) {
  state.r[i.rd] = (state.r[i.rd] & 0xFFFF) | i.immediate << 16;
}

/// Shift of rn by the low byte of rm.
inline void shift_by_register(State& state, const Instruction& i) {
  const Shifted result = shift(state.r[i.rn], i.shifter, state.r[i.rm] & 0xFF, state.carry);
  if (i.sets_flags) set_logical_flags(state, result);
  state.r[i.rd] = result.value;
}

// Bit fields: `shift` is the lowest bit, `immediate` the width (1-32).

inline void extract_signed(State& state, const Instruction& i) {
  const uint32_t top = state.r[i.rn] << (32 - i.shift - i.immediate);
  state.r[i.rd] = static_cast<uint32_t>(as_signed(top) >> (32 - i.immediate));
}

inline void extract_unsigned(State& state, const Instruction& i) {
  state.r[i.rd] = state.r[i.rn] << (32 - i.shift - i.immediate) >> (32 - i.immediate);
}

inline void insert_field(State& state, const Instruction& i) {
  const uint32_t mask = (~0U >> (32 - i.immediate)) << i.shift;
  state.r[i.rd] = (state.r[i.rd] & ~mask) | (state.r[i.rn] << i.shift & mask);
}

inline uint32_t rotated_operand(const State& state, const Instruction& i) {
  return std::rotr(state.r[i.rm], static_cast<int>(i.shift));
}

/// rd = rn + the low part of rm, extended; rn reads zero for the plain extensions.
template <class Part>
inline void extend_add(State& state, const Instruction& i) {
  const auto part = static_cast<Part>(rotated_operand(state, i));
  state.r[i.rd] = state.r[i.rn] + static_cast<uint32_t>(part);
}

/// Bytes 0 and 2 of rm, extended to halfwords and added to those of rn.
template <class Part>
inline void extend_add_halves(State& state, const Instruction& i) {
  const uint32_t operand = rotated_operand(state, i);
  const uint32_t base = state.r[i.rn];
  state.r[i.rd] = pack_halves(low_half(base) + static_cast<Part>(operand),
                              high_half(base) + static_cast<Part>(operand >> 16));
}

inline void pack_bottom_top(State& state, const Instruction& i) {
  state.r[i.rd] = (state.r[i.rn] & 0xFFFF) | (state.r[i.rm] << i.shift & 0xFFFF0000);
}

/// A shift of 32 is coded as such.
inline void pack_top_bottom(State& state, const Instruction& i) {
  const int64_t operand = as_signed(state.r[i.rm]);
  state.r[i.rd] = (state.r[i.rn] & 0xFFFF0000) | (as_word(operand >> i.shift) & 0xFFFF);
}

inline uint32_t reverse_bytes(uint32_t v) {
  return v << 24 | (v & 0xFF00) << 8 | (v >> 8 & 0xFF00) | v >> 24;
}

inline uint32_t reverse_bytes_of_halves(uint32_t v) { return (v & 0x00FF00FF) << 8 | (v >> 8 & 0x00FF00FF); }

inline uint32_t reverse_low_half(uint32_t v) {
  return static_cast<uint32_t>(low_half(reverse_bytes_of_halves(v)));
}

inline uint32_t reverse_bits(uint32_t v) {
  v = reverse_bytes(v);
  v = (v & 0x0F0F0F0F) << 4 | (v >> 4 & 0x0F0F0F0F);
  v = (v & 0x33333333) << 2 | (v >> 2 & 0x33333333);
  return (v & 0x55555555) << 1 | (v >> 1 & 0x55555555);
}

inline uint32_t leading_zeros(uint32_t v) { return static_cast<uint32_t>(std::countl_zero(v)); }

}  // namespace lutra::mcu::thumb
