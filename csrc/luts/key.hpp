#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lutra::luts {

/// A kernel's key: 128 bits, written as 32 hex digits; packed as 16 bytes, the first digits first.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  bool operator==(const Key&) const = default;
};

constexpr std::size_t kKeyDigits = 32;
constexpr std::size_t kKeyBytes = 16;

/// Nothing for a text that is not 32 hex digits, in either case.
std::optional<Key> parse_key(std::string_view text);

/// Lower case.
std::string format_key(const Key& key);

/// `bytes` are kKeyBytes long.
Key unpack_key(const std::byte* bytes);

}  // namespace lutra::luts
