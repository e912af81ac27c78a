#pragma once

#include <array>
#include <cstdint>

#include "mcu/thumb/instruction.hpp"

namespace lutra::mcu::thumb {

/// Registers and flags. r[15] is not used: decoding turns reads of the pc into constants, and branches carry
/// their target; r[kZero] stays zero.
struct State {
  std::array<uint32_t, 17> r{};
  /// The result that N and Z were set from, sign-extended: N is its sign, Z whether its low word is zero. (So
  /// that one store sets both, and both can be set from outside at once.)
  int64_t result = 1;
  uint32_t carry = 0;  ///< 0 or 1, as the next two
  uint32_t overflow = 0;
  uint32_t saturated = 0;  ///< Q
  uint32_t lanes = 0;      ///< GE[3:0]
  std::array<float, 32> s{};
  uint32_t float_flags = 0;  ///< N, Z, C, V of the last floating-point comparison, in bits 3-0

  bool negative() const { return result < 0; }
  bool zero() const { return static_cast<uint32_t>(result) == 0; }

  void set_result(uint32_t value) { result = static_cast<int32_t>(value); }

  /// N, Z, C, V in bits 3-0.
  void set_flags(uint32_t nzcv) {
    const int64_t sign = (nzcv & 8) ? INT64_MIN : 0;
    result = sign | ((nzcv & 4) ? 0 : 1);
    carry = (nzcv >> 1) & 1;
    overflow = nzcv & 1;
  }
  uint32_t flags() const { return (negative() ? 8U : 0U) | (zero() ? 4U : 0U) | carry << 1 | overflow; }
};

/// Whether a condition (Arm's four-bit code) holds.
inline bool holds(const State& state, uint32_t condition) {
  const bool greater_equal = state.negative() == (state.overflow != 0);
  bool held = true;
  switch (condition >> 1) {
    case 0:
      held = state.zero();
      break;
    case 1:
      held = state.carry != 0;
      break;
    case 2:
      held = state.negative();
      break;
    case 3:
      held = state.overflow != 0;
      break;
    case 4:
      held = state.carry != 0 && !state.zero();
      break;
    case 5:
      held = greater_equal;
      break;
    case 6:
      held = greater_equal && !state.zero();
      break;
    default:
      return true;
  }
  return held != ((condition & 1) != 0);
}

}  // namespace lutra::mcu::thumb
