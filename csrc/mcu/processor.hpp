#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "mcu/board.hpp"
#include "mcu/elf.hpp"
#include "mcu/memory.hpp"
#include "mcu/timing/stalls.hpp"

namespace lutra::mcu {

/// A function is called with this return address (without Thumb's bit 0); jumping to it ends the call.
/// Nothing is mapped there.
inline constexpr uint32_t kReturnAddress = 0xFFFFFFFE;

/// One call of a function in the simulated program.
struct Call {
  uint32_t function = 0;  ///< address; Thumb's bit 0 may be set
  std::span<const uint32_t> arguments;
  uint32_t stack_top = 0;
  uint64_t cycle_limit = 0;
};

struct CallResult {
  uint64_t cycles = 0;
  uint64_t instructions = 0;
  uint32_t value = 0;  ///< r0, or a0
  Stalls stalls;
};

/// An instruction set with the timing of one core: what differs between the boards' processors.
///
/// Each call starts from the same state (caches cold, registers zero), so that what it takes depends on
/// memory and arguments alone.
class Processor {
 public:
  static constexpr size_t kMaxArguments = 4;

  virtual ~Processor() = default;

  /// Throws Trap where the program goes wrong, or takes more than `call.cycle_limit` cycles.
  virtual CallResult call(const Call& call) = 0;

  /// To be called when the host has written to memory that holds code.
  virtual void forget_code() = 0;
};

/// The processor of `board`, executing the code segments of `image` that lie in `memory`. Both outlive it.
std::unique_ptr<Processor> make_processor(const Board& board, Memory& memory, const ElfImage& image);

}  // namespace lutra::mcu
