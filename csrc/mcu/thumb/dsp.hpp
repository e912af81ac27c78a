#pragma once

#include <cstdint>

#include "mcu/thumb/arithmetic.hpp"
#include "mcu/thumb/state.hpp"

// Semantics of saturation and of the parallel arithmetic on bytes and halfwords (the DSP extension).
namespace lutra::mcu::thumb {

inline int32_t saturation_operand(const State& state, const Instruction& i) {
  return as_signed(shift(state.r[i.rn], i.shifter, i.shift, 0).value);
}

inline void saturate_to_signed(State& state, const Instruction& i) {
  state.r[i.rd] = saturate_signed(state, saturation_operand(state, i), i.immediate);
}

inline void saturate_to_unsigned(State& state, const Instruction& i) {
  state.r[i.rd] = saturate_unsigned(state, saturation_operand(state, i), i.immediate);
}

inline void saturate_halves_to_signed(State& state, const Instruction& i) {
  const uint32_t value = state.r[i.rn];
  state.r[i.rd] = pack_halves(as_signed(saturate_signed(state, low_half(value), i.immediate)),
                              as_signed(saturate_signed(state, high_half(value), i.immediate)));
}

inline void saturate_halves_to_unsigned(State& state, const Instruction& i) {
  const uint32_t value = state.r[i.rn];
  state.r[i.rd] = pack_halves(as_signed(saturate_unsigned(state, low_half(value), i.immediate)),
                              as_signed(saturate_unsigned(state, high_half(value), i.immediate)));
}

/// rd = rm + factor * rn, where a doubled rn is saturated first.
inline void add_saturating(State& state, const Instruction& i, int64_t factor) {
  const int64_t sign = factor < 0 ? -1 : 1;
  const uint32_t addend = saturate_signed(state, factor * sign * as_signed(state.r[i.rn]), 32);
  state.r[i.rd] = saturate_signed(state, int64_t{as_signed(state.r[i.rm])} + sign * as_signed(addend), 32);
}

/// What `variant` of Operation::parallel says: bits 6-4 how lanes combine, bit 2 unsigned, bits 1-0 what
/// happens to a result (the fields op1, U and op2 of the encoding).
enum class LaneOperation : uint8_t { add8 = 0, add16 = 1, asx = 2, sub8 = 4, sub16 = 5, sax = 6 };
enum class LaneResult : uint8_t { modulo = 0, saturated = 1, halved = 2 };

/// Collects lanes of `bits` bits each, from the lowest, and the GE flags (one a byte) of modulo arithmetic.
class Lanes {
 public:
  Lanes(uint32_t bits, bool is_unsigned, LaneResult treatment)
      : bits_(bits), unsigned_(is_unsigned), treatment_(treatment) {}

  void push(int32_t exact, bool is_difference) {
    const int32_t most = unsigned_ ? (1 << bits_) - 1 : (1 << (bits_ - 1)) - 1;
    const int32_t least = unsigned_ ? 0 : -most - 1;
    int32_t value = exact;
    if (treatment_ == LaneResult::saturated) value = exact > most ? most : exact < least ? least : exact;
    if (treatment_ == LaneResult::halved) value = exact >> 1;
    const bool carried = unsigned_ && !is_difference ? exact > most : exact >= 0;
    const uint32_t lane_flags = bits_ == 8 ? 1 : 3;
    if (carried) flags_ |= lane_flags << (position_ / 8);
    word_ |= (static_cast<uint32_t>(value) & ((1U << bits_) - 1)) << position_;
    position_ += bits_;
  }

  uint32_t word() const { return word_; }
  uint32_t flags() const { return flags_; }

 private:
  uint32_t bits_;
  bool unsigned_;
  LaneResult treatment_;
  uint32_t position_ = 0;
  uint32_t word_ = 0;
  uint32_t flags_ = 0;
};

/// Lane `index` of `bits` bits.
inline int32_t lane_of(uint32_t word, uint32_t index, uint32_t bits, bool is_unsigned) {
  const uint32_t top = word << (32 - bits * (index + 1));
  return is_unsigned ? static_cast<int32_t>(top >> (32 - bits)) : as_signed(top) >> (32 - bits);
}

inline void parallel_arithmetic(State& state, const Instruction& i) {
  const auto operation = static_cast<LaneOperation>(i.variant >> 4);
  const auto treatment = static_cast<LaneResult>(i.variant & 3);
  const bool is_unsigned = (i.variant & 4) != 0;
  const bool bytes = operation == LaneOperation::add8 || operation == LaneOperation::sub8;
  const bool exchanges = operation == LaneOperation::asx || operation == LaneOperation::sax;
  const uint32_t bits = bytes ? 8 : 16;
  Lanes lanes(bits, is_unsigned, treatment);
  for (uint32_t lane = 0; lane < 32 / bits; ++lane) {
    const int32_t a = lane_of(state.r[i.rn], lane, bits, is_unsigned);
    const int32_t b = lane_of(state.r[i.rm], exchanges ? 1 - lane : lane, bits, is_unsigned);
    const bool is_difference = operation == LaneOperation::sub8 || operation == LaneOperation::sub16 ||
                               (operation == LaneOperation::asx && lane == 0) ||
                               (operation == LaneOperation::sax && lane == 1);
    lanes.push(is_difference ? a - b : a + b, is_difference);
  }
  if (treatment == LaneResult::modulo) state.lanes = lanes.flags();
  state.r[i.rd] = lanes.word();
}

/// Each byte from rn where its GE flag is set, else from rm.
inline void select_bytes(State& state, const Instruction& i) {
  uint32_t mask = 0;
  for (uint32_t byte = 0; byte < 4; ++byte)
    if (state.lanes >> byte & 1) mask |= 0xFFU << (8 * byte);
  state.r[i.rd] = (state.r[i.rn] & mask) | (state.r[i.rm] & ~mask);
}

}  // namespace lutra::mcu::thumb
