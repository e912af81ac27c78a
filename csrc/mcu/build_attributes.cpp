#include "mcu/build_attributes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

namespace lutra::mcu {

namespace {

constexpr uint32_t kTagFile = 1;
constexpr uint32_t kTagRawName = 4;
constexpr uint32_t kTagName = 5;
constexpr uint32_t kTagArch = 6;
constexpr uint32_t kTagCompatibility = 32;
constexpr uint8_t kFormatVersion = 'A';

/// Reads on until something is missing; from then on everything is.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  std::optional<uint8_t> byte() {
    if (bytes_.empty()) return {};
    const uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }

  std::optional<uint32_t> word() {
    if (bytes_.size() < 4) return {};
    uint32_t value;
    std::memcpy(&value, bytes_.data(), 4);
    bytes_ = bytes_.subspan(4);
    return value;
  }

  /// Little-endian base 128.
  std::optional<uint32_t> leb128() {
    uint32_t value = 0;
    for (uint32_t shift = 0; shift < 32; shift += 7) {
      const auto next = byte();
      if (!next) return {};
      value |= static_cast<uint32_t>(*next & 0x7F) << shift;
      if (!(*next & 0x80)) return value;
    }
    return {};
  }

  std::optional<std::string_view> text() {
    const auto end = std::find(bytes_.begin(), bytes_.end(), uint8_t{0});
    if (end == bytes_.end()) return {};
    const std::string_view value(reinterpret_cast<const char*>(bytes_.data()),
                                 static_cast<size_t>(end - bytes_.begin()));
    bytes_ = bytes_.subspan(value.size() + 1);
    return value;
  }

  /// A reader of the next `count` bytes, which this one skips.
  std::optional<Reader> part(size_t count) {
    if (count > bytes_.size()) return {};
    Reader result(bytes_.first(count));
    bytes_ = bytes_.subspan(count);
    return result;
  }

 private:
  std::span<const uint8_t> bytes_;
};

/// Above 32, and for the two names, odd tags are texts and even ones numbers.
bool is_text(uint32_t tag) {
  return tag == kTagRawName || tag == kTagName || (tag > kTagCompatibility && tag % 2 == 1);
}

int arch_among(Reader attributes) {
  while (!attributes.empty()) {
    const auto tag = attributes.leb128();
    if (!tag) return -1;
    if (!is_text(*tag)) {
      const auto value = attributes.leb128();
      if (!value) return -1;
      if (*tag == kTagArch) return static_cast<int>(*value);
    }
    if ((is_text(*tag) || *tag == kTagCompatibility) && !attributes.text()) return -1;
  }
  return -1;
}

/// The attributes of the whole file, in the subsection of one vendor.
int arch_of_vendor(Reader vendor) {
  while (!vendor.empty()) {
    const auto tag = vendor.byte();
    const auto bytes = vendor.word();  // counts the tag and itself
    if (!tag || !bytes || *bytes < 5) return -1;
    const auto attributes = vendor.part(*bytes - 5);
    if (!attributes) return -1;
    if (*tag == kTagFile) return arch_among(*attributes);
  }
  return -1;
}

}  // namespace

int cpu_arch_of(std::span<const uint8_t> section) {
  Reader reader(section);
  if (reader.byte() != kFormatVersion) return -1;
  while (!reader.empty()) {
    const auto bytes = reader.word();  // counts itself
    if (!bytes || *bytes < 4) return -1;
    auto vendor = reader.part(*bytes - 4);
    if (!vendor) return -1;
    if (vendor->text() == "aeabi") return arch_of_vendor(*vendor);
  }
  return -1;
}

}  // namespace lutra::mcu
