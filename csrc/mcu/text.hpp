#pragma once

#include <cstdint>
#include <string>

namespace lutra::mcu {

/// `value` as 0x and eight digits.
inline std::string hex(uint32_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x00000000";
  for (size_t i = 0; i < 8; ++i) text[9 - i] = kDigits[(value >> (4 * i)) & 15];
  return text;
}

}  // namespace lutra::mcu
