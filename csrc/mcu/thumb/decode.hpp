#pragma once

#include <cstdint>

#include "mcu/thumb/instruction.hpp"

namespace lutra::mcu::thumb {

/// The parts of the architecture that a core has.
struct Features {
  bool mainline = true;   ///< ARMv7-M: 32-bit instructions, IT, division; else ARMv6-M
  bool dsp = true;        ///< the E of ARMv7E-M
  bool fpu = false;       ///< single precision
  bool fpu_v5 = false;    ///< rounding, selection, minimum and maximum (FPv5)
  bool unaligned = true;  ///< single loads and stores need no alignment
};

inline bool is_wide(uint32_t first_halfword) { return (first_halfword >> 11) >= 0x1D; }

/// Decodes the instruction whose first two halfwords are given (`second` is ignored where the first is
/// complete). `in_it_block` takes away the flags of 16-bit arithmetic. Any input is valid: what the core does
/// not have becomes Operation::undefined.
Instruction decode(uint32_t first, uint32_t second, uint32_t pc, bool in_it_block, const Features& features);

}  // namespace lutra::mcu::thumb
