#pragma once

#include <cstdint>

#include "mcu/thumb/state.hpp"
#include "mcu/thumb/stop.hpp"

// Semantics of the status registers.
namespace lutra::mcu::thumb {

inline constexpr uint32_t kWritesFlags = 2;  ///< bits of the variant of `msr`
inline constexpr uint32_t kWritesLanes = 1;

/// N, Z, C, V, Q and GE at their places in APSR.
inline uint32_t status_of(const State& state) {
  return state.flags() << 28 | state.saturated << 27 | state.lanes << 16;
}

/// The interrupt masks read zero: nothing ever interrupts.
inline void read_status(State& state, const Instruction& i) {
  state.r[i.rd] = i.variant ? status_of(state) : 0;
}

inline void write_status(State& state, const Instruction& i) {
  const uint32_t value = state.r[i.rn];
  if (i.variant & kWritesFlags) {
    state.set_flags(value >> 28);
    state.saturated = value >> 27 & 1;
  }
  if (i.variant & kWritesLanes) state.lanes = value >> 16 & 15;
}

/// The mode bits of FPSCR read zero, the default.
inline void read_float_status(State& state, const Instruction& i) {
  if (i.variant)
    state.set_flags(state.float_flags);
  else
    state.r[i.ra] = state.float_flags << 28;
}

inline void write_float_status(State& state, const Instruction& i) {
  constexpr uint32_t kModes = 0x07C00000;  // AHP, DN, FZ, RMode
  const uint32_t value = state.r[i.ra];
  if (value & kModes)
    stop(TrapKind::undefined_instruction, "only the default floating-point mode is simulated");
  state.float_flags = value >> 28;
}

}  // namespace lutra::mcu::thumb
