#pragma once

#include "mcu/trap.hpp"

namespace lutra::mcu::thumb {

/// An instruction that ends the call. The run loop turns it into a Trap.
struct Stop {
  TrapKind kind;
  const char* detail;
};

[[noreturn]] inline void stop(TrapKind kind, const char* detail) { throw Stop{kind, detail}; }

}  // namespace lutra::mcu::thumb
