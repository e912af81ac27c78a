#pragma once

#include <cstdint>

#include "mcu/thumb/instruction.hpp"
#include "mcu/timing/scoreboard.hpp"

namespace lutra::mcu {

/// What an instruction takes up in the cycle in which it issues. Two instructions pair unless the younger one
/// excludes what the older one takes.
namespace m7_unit {
inline constexpr uint16_t kAlone = 1U << 0;      ///< nothing pairs with it
inline constexpr uint16_t kOlderOnly = 1U << 1;  ///< not as the younger of a pair
inline constexpr uint16_t kLoad = 1U << 2;       ///< two of them pair when their memory banks differ
inline constexpr uint16_t kStore = 1U << 3;
inline constexpr uint16_t kMac = 1U << 4;          ///< the multiplier
inline constexpr uint16_t kShift = 1U << 5;        ///< a shift as the instruction itself
inline constexpr uint16_t kInlineShift = 1U << 6;  ///< the shifter in front of the arithmetic unit
inline constexpr uint16_t kBranch = 1U << 7;
inline constexpr uint16_t kFloat = 1U << 8;
}  // namespace m7_unit

/// How a Cortex-M7 issues an instruction, from its decoded form alone.
struct M7Issue {
  Reads reads;
  uint32_t results = 0;       ///< registers written
  uint32_t updated_base = 0;  ///< the base register among them that addressing changes
  uint32_t float_reads = 0;   ///< masks of s0 to s31
  uint32_t float_results = 0;
  uint16_t takes = 0;     ///< m7_unit
  uint16_t excludes = 0;  ///< m7_unit
  uint8_t latency = 1;    ///< cycles until the results can be read; 0: the pair's younger one reads them
  uint8_t cycles = 1;     ///< that it keeps the pipeline, without memory's stalls
  bool early_as_older = false;  ///< may run in the first of the two arithmetic stages, as the older of a pair
  bool early_as_younger = false;  ///< may run there as the younger one too
  bool loads_words = false;
  bool conditional_branch = false;
};

M7Issue describe_m7(const thumb::Instruction& instruction);

}  // namespace lutra::mcu
