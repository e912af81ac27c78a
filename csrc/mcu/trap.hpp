#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lutra::mcu {

/// Why the simulated program was stopped.
enum class TrapKind : uint8_t {
  undefined_instruction,  ///< the core does not have it, or Lutra does not simulate it
  unpredictable,          ///< encodings and jumps that the architecture leaves unpredictable
  store_to_flash,         ///< a store to flash, or to the program's own code
  out_of_range,           ///< a load or store outside flash and RAM
  misaligned,             ///< an access that the core faults on
  fetch_fault,            ///< execution left the program's code
  invalid_state,          ///< a jump to an instruction set that the core does not have
  breakpoint,             ///< a breakpoint, supervisor call or other exception that nobody handles
  cycle_limit,            ///< the call took longer than the caller allowed
};

std::string_view trap_name(TrapKind kind);

/// A load or store that failed. Memory does not know which instruction made it: the run loop turns it into a
/// Trap.
struct AccessFault {
  TrapKind kind;
  uint32_t address;
  std::string detail;
};

/// Ends a simulated call. `pc` is the instruction that failed, `address` what it accessed (or, for a fetch,
/// where it wanted to go); the message holds both.
class Trap : public std::runtime_error {
 public:
  Trap(TrapKind kind, uint32_t pc, uint32_t address, std::string_view detail);

  TrapKind kind() const { return kind_; }
  uint32_t pc() const { return pc_; }
  uint32_t address() const { return address_; }

 private:
  TrapKind kind_;
  uint32_t pc_;
  uint32_t address_;
};

}  // namespace lutra::mcu
