#pragma once

#include <span>

#include "mcu/thumb/pattern.hpp"

// The decoding tables, one a file.
namespace lutra::mcu::thumb {

std::span<const Pattern> patterns16();
std::span<const Pattern> patterns32();
std::span<const Pattern> float_patterns();

/// Bytes of the single load or store that an operation makes; 0 for all others.
constexpr uint8_t access_bytes_of(Operation operation) {
  switch (operation) {
    case Operation::ldrb:
    case Operation::ldrsb:
    case Operation::strb:
    case Operation::tbb:
      return 1;
    case Operation::ldrh:
    case Operation::ldrsh:
    case Operation::strh:
    case Operation::tbh:
      return 2;
    case Operation::ldr:
    case Operation::ldr_pc:
    case Operation::str:
      return 4;
    case Operation::ldrd:
    case Operation::strd:
      return 8;
    default:
      return 0;
  }
}

}  // namespace lutra::mcu::thumb
