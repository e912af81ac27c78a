#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "mcu/memory.hpp"
#include "mcu/thumb/state.hpp"
#include "mcu/thumb/transfer.hpp"

// Semantics of the single-precision subset, in the default mode: round to nearest, subnormals kept. Registers
// are numbered s0-s31 in rd, rn and rm; instructions that also name a core register have it in ra.
namespace lutra::mcu::thumb {

inline uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }
inline float float_of(uint32_t bits) { return std::bit_cast<float>(bits); }

enum class Rounding : uint8_t { away = 0, even = 1, up = 2, down = 3, to_zero = 4 };

inline float rounded(float value, Rounding rounding) {
  switch (rounding) {
    case Rounding::away:
      return std::round(value);
    case Rounding::even:
      return std::nearbyint(value);
    case Rounding::up:
      return std::ceil(value);
    case Rounding::down:
      return std::floor(value);
    case Rounding::to_zero:
      return std::trunc(value);
  }
  return value;
}

/// Clamped to the target's range; NaN becomes zero.
template <class Integer>
inline uint32_t to_integer(float value, Rounding rounding) {
  if (std::isnan(value)) return 0;
  const double exact = rounded(value, rounding);
  constexpr double kMost = std::numeric_limits<Integer>::max();
  constexpr double kLeast = std::numeric_limits<Integer>::min();
  const double clamped = exact > kMost ? kMost : exact < kLeast ? kLeast : exact;
  return static_cast<uint32_t>(static_cast<Integer>(clamped));
}

/// variant: bit 0 signed; bits 3-1 the rounding.
inline void convert_to_integer(State& state, const Instruction& i) {
  const auto rounding = static_cast<Rounding>(i.variant >> 1);
  const float value = state.s[i.rm];
  const uint32_t integer =
      (i.variant & 1) ? to_integer<int32_t>(value, rounding) : to_integer<uint32_t>(value, rounding);
  state.s[i.rd] = float_of(integer);
}

inline void convert_to_float(State& state, const Instruction& i) {
  const uint32_t bits = bits_of(state.s[i.rm]);
  state.s[i.rd] = (i.variant & 1) ? static_cast<float>(static_cast<int32_t>(bits)) : static_cast<float>(bits);
}

/// variant: 1 where the second operand is zero.
inline void compare_floats(State& state, const Instruction& i) {
  const float a = state.s[i.rd];
  const float b = i.variant ? 0.0F : state.s[i.rm];
  state.float_flags = a == b ? 0b0110 : a < b ? 0b1000 : a > b ? 0b0010 : 0b0011;
}

/// IEEE 754-2008 maxNum: a number wins over NaN.
inline float larger(float a, float b) {
  if (a == b) return std::signbit(a) ? b : a;
  return std::fmax(a, b);
}
inline float smaller(float a, float b) {
  if (a == b) return std::signbit(a) ? a : b;
  return std::fmin(a, b);
}

/// One register (or a double's two) at a constant offset, or several from a moving base.
inline Address float_address(const State& state, const Instruction& i) {
  return i.index == Index::offset ? address_of(state, i) : multiple_address(state, i);
}

/// Loads `register_count` registers from rd on. `variant` says whether the base is written back.
inline uint32_t load_floats(State& state, const Memory& memory, const Instruction& i) {
  const Address address = float_address(state, i);
  require_alignment(address.accessed, kWordBytes);
  const uint32_t bytes = kWordBytes * i.register_count;
  std::memcpy(&state.s[i.rd], memory.readable(address.accessed, bytes), bytes);
  if (i.variant) state.r[i.rn] = address.base_after;
  return address.accessed;
}

inline uint32_t store_floats(State& state, Memory& memory, const Instruction& i) {
  const Address address = float_address(state, i);
  require_alignment(address.accessed, kWordBytes);
  const uint32_t bytes = kWordBytes * i.register_count;
  std::memcpy(memory.writable(address.accessed, bytes), &state.s[i.rd], bytes);
  if (i.variant) state.r[i.rn] = address.base_after;
  return address.accessed;
}

}  // namespace lutra::mcu::thumb
