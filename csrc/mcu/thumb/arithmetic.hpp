#pragma once

#include <bit>
#include <cstdint>

#include "mcu/thumb/state.hpp"

namespace lutra::mcu::thumb {

inline int32_t as_signed(uint32_t value) { return static_cast<int32_t>(value); }
inline uint32_t as_word(int64_t value) { return static_cast<uint32_t>(value); }
inline int32_t low_half(uint32_t value) { return static_cast<int16_t>(value); }
inline int32_t high_half(uint32_t value) { return static_cast<int16_t>(value >> 16); }
inline uint32_t pack_halves(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xFFFF) | static_cast<uint32_t>(high) << 16;
}

struct Shifted {
  uint32_t value;
  uint32_t carry;
};

/// `value` shifted by `amount` (any number of bits), with the last bit shifted out; by 0 the carry stays.
inline Shifted shift(uint32_t value, Shifter kind, uint32_t amount, uint32_t carry) {
  if (kind == Shifter::rrx) return {value >> 1 | carry << 31, value & 1};
  if (amount == 0) return {value, carry};
  switch (kind) {
    case Shifter::lsl:
      if (amount > 32) return {0, 0};
      return {amount == 32 ? 0 : value << amount, (value >> (32 - amount)) & 1};
    case Shifter::lsr:
      if (amount > 32) return {0, 0};
      return {amount == 32 ? 0 : value >> amount, (value >> (amount - 1)) & 1};
    case Shifter::asr: {
      const uint32_t by = amount < 32 ? amount : 31;
      const uint32_t last = amount < 32 ? (value >> (amount - 1)) & 1 : value >> 31;
      return {static_cast<uint32_t>(as_signed(value) >> by), last};
    }
    case Shifter::ror: {
      const uint32_t rotated = std::rotr(value, static_cast<int>(amount % 32));
      return {rotated, rotated >> 31};
    }
    default:
      return {value, carry};
  }
}

/// a + b + carry_in, which may set all four flags. (a - b is a + ~b + 1.)
inline uint32_t add_with_carry(State& state, uint32_t a, uint32_t b, uint32_t carry_in, bool sets_flags) {
  const uint64_t sum = uint64_t{a} + b + carry_in;
  const auto value = static_cast<uint32_t>(sum);
  if (sets_flags) {
    state.set_result(value);
    state.carry = static_cast<uint32_t>(sum >> 32);
    state.overflow = (~(a ^ b) & (a ^ value)) >> 31;
  }
  return value;
}

/// `value` limited to a signed number of `bits` bits (1-32); sets Q when it did not fit.
inline uint32_t saturate_signed(State& state, int64_t value, uint32_t bits) {
  const int64_t most = (int64_t{1} << (bits - 1)) - 1;
  const int64_t limited = value > most ? most : value < -most - 1 ? -most - 1 : value;
  state.saturated |= limited != value;
  return as_word(limited);
}

/// `value` limited to an unsigned number of `bits` bits (0-31); sets Q when it did not fit.
inline uint32_t saturate_unsigned(State& state, int64_t value, uint32_t bits) {
  const int64_t most = (int64_t{1} << bits) - 1;
  const int64_t limited = value > most ? most : value < 0 ? 0 : value;
  state.saturated |= limited != value;
  return as_word(limited);
}

}  // namespace lutra::mcu::thumb
