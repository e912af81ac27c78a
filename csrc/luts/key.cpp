#include "luts/key.hpp"

#include <array>

namespace lutra::luts {

namespace {

constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> digit_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = i;
  for (std::uint8_t i = 0; i < 6; ++i) {
    values[static_cast<std::size_t>('a' + i)] = static_cast<std::uint8_t>(10 + i);
    values[static_cast<std::size_t>('A' + i)] = static_cast<std::uint8_t>(10 + i);
  }
  return values;
}

constexpr std::array<std::uint8_t, 256> kDigits = digit_values();

}  // namespace

std::optional<Key> parse_key(std::string_view text) {
  if (text.size() != kKeyDigits) return std::nullopt;
  std::uint64_t halves[2] = {0, 0};
  std::uint8_t seen = 0;
  for (std::size_t i = 0; i < kKeyDigits; ++i) {
    const std::uint8_t digit = kDigits[static_cast<unsigned char>(text[i])];
    seen |= digit;
    halves[i / 16] = halves[i / 16] << 4 | (digit & 0xf);
  }
  if (seen > 0xf) return std::nullopt;
  return Key{halves[0], halves[1]};
}

std::string format_key(const Key& key) {
  std::string text(kKeyDigits, '0');
  for (std::size_t i = 0; i < kKeyDigits; ++i) {
    const std::uint64_t half = i < 16 ? key.high : key.low;
    text[i] = "0123456789abcdef"[half >> (60 - 4 * (i % 16)) & 0xf];
  }
  return text;
}

Key unpack_key(const std::byte* bytes) {
  std::uint64_t halves[2] = {0, 0};
  for (std::size_t i = 0; i < kKeyBytes; ++i)
    halves[i / 8] = halves[i / 8] << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return {halves[0], halves[1]};
}

}  // namespace lutra::luts
