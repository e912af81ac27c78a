#pragma once

#include <cstdint>

namespace lutra::mcu {

/// Cycles beyond one an instruction, by cause.
struct Stalls {
  uint64_t fetch = 0;  ///< waiting for instructions: flash, instruction cache, alignment of wide instructions
  uint64_t data = 0;   ///< loads and stores: their further cycles, flash, data cache, unaligned accesses
  uint64_t branch = 0;      ///< refilling the pipeline after a taken or mispredicted branch
  uint64_t interlock = 0;   ///< waiting for the result of an earlier instruction
  uint64_t multicycle = 0;  ///< instructions that compute for several cycles: divisions, floating point

  uint64_t total() const { return fetch + data + branch + interlock + multicycle; }
};

}  // namespace lutra::mcu
