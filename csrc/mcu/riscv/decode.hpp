#pragma once

#include <cstdint>

#include "mcu/riscv/instruction.hpp"

namespace lutra::mcu::riscv {

/// Decodes the instruction at the low end of `bits`; of a compressed one (whose two lowest bits are not 11)
/// the upper half is not looked at. What RV32IMC reserves or leaves to other extensions is
/// `Operation::illegal`; hints are the operations that they look like.
///
/// Encodings: The RISC-V Instruction Set Manual, Volume I, chapters "RV32/64G Instruction Set Listings" and
/// "C Standard Extension for Compressed Instructions".
Instruction decode(uint32_t bits);

}  // namespace lutra::mcu::riscv
