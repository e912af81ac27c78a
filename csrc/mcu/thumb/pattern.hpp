#pragma once

#include <cstdint>

#include "mcu/thumb/instruction.hpp"

namespace lutra::mcu::thumb {

/// Bits `high` down to `low` of `word`.
constexpr uint32_t field(uint32_t word, uint32_t high, uint32_t low) {
  return word >> low & (0xFFFFFFFFU >> (31 - high + low));
}
constexpr uint8_t register_at(uint32_t word, uint32_t low) { return static_cast<uint8_t>(word >> low & 15); }
constexpr uint8_t low_register_at(uint32_t word, uint32_t low) {
  return static_cast<uint8_t>(word >> low & 7);
}

/// The low `bits` bits of `value` as a signed number.
constexpr uint32_t sign_extended(uint32_t value, uint32_t bits) {
  const uint32_t sign = 1U << (bits - 1);
  return ((value & ((sign << 1) - 1)) ^ sign) - sign;
}

/// What reading the pc gives, and what literals are relative to.
constexpr uint32_t pc_value(uint32_t pc) { return pc + 4; }
constexpr uint32_t aligned_pc_value(uint32_t pc) { return (pc + 4) & ~3U; }

/// An encoding as its decoder sees it: a 16-bit instruction, or both halfwords of a wide one, the first one
/// high.
struct Encoding {
  uint32_t word;
  uint32_t pc;
  bool in_it_block;
};

enum class Needs : uint8_t { baseline, mainline, dsp, fpu, fpu_v5 };

/// One row of a decoding table. The first row whose `value` the encoding has under `mask` gives the
/// operation; `form` takes the operands out of the encoding. A form sets the operation to undefined or
/// unpredictable where further bits ask for it.
struct Pattern {
  uint32_t mask;
  uint32_t value;
  Operation operation;
  TimingClass timing;
  void (*form)(const Encoding&, Instruction&);
  Needs needs = Needs::mainline;
};

/// Sets shifter and amount from the two-bit type and five-bit number of an encoding (DecodeImmShift).
inline void set_immediate_shift(Instruction& i, uint32_t type, uint32_t amount) {
  constexpr Shifter kKinds[] = {Shifter::lsl, Shifter::lsr, Shifter::asr, Shifter::ror};
  i.shifter = kKinds[type];
  i.shift = static_cast<uint8_t>(amount);
  if (amount > 0) return;
  if (type == 0) i.shifter = Shifter::none;
  if (type == 1 || type == 2) i.shift = 32;
  if (type == 3) i.shifter = Shifter::rrx;
}

}  // namespace lutra::mcu::thumb
