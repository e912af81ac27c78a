#pragma once

#include <cstdint>

namespace lutra::mcu {

/// What a timing policy learns of an executed instruction besides its decoded form.
///
/// A policy is a class with
///   void retire(const Instruction&, const Retirement&)   once an instruction, in program order
///   uint64_t cycles() const                              that have passed up to now
///   Stalls stalls() const
///   void reset()                                         caches cold, cycles 0
struct Retirement {
  uint32_t pc = 0;
  uint32_t next = 0;     ///< pc of the instruction that follows in execution
  uint32_t address = 0;  ///< lowest address that a load or store accessed
  uint32_t operand = 0;  ///< divisions: significant bits of the quotient
  bool executed = true;  ///< false: its condition did not hold
  bool taken = false;    ///< it changed the program counter
};

}  // namespace lutra::mcu
