#include "mcu/trap.hpp"

#include <string>

#include "mcu/text.hpp"

namespace lutra::mcu {

namespace {

std::string message(TrapKind kind, uint32_t pc, std::string_view detail) {
  std::string text(trap_name(kind));
  text.append(" at pc ").append(hex(pc)).append(": ").append(detail);
  return text;
}

}  // namespace

std::string_view trap_name(TrapKind kind) {
  switch (kind) {
    case TrapKind::undefined_instruction:
      return "undefined_instruction";
    case TrapKind::unpredictable:
      return "unpredictable";
    case TrapKind::store_to_flash:
      return "store_to_flash";
    case TrapKind::out_of_range:
      return "out_of_range";
    case TrapKind::misaligned:
      return "misaligned";
    case TrapKind::fetch_fault:
      return "fetch_fault";
    case TrapKind::invalid_state:
      return "invalid_state";
    case TrapKind::breakpoint:
      return "breakpoint";
    case TrapKind::cycle_limit:
      return "cycle_limit";
  }
  return "unknown";
}

Trap::Trap(TrapKind kind, uint32_t pc, uint32_t address, std::string_view detail)
    : std::runtime_error(message(kind, pc, detail)), kind_(kind), pc_(pc), address_(address) {}

}  // namespace lutra::mcu
