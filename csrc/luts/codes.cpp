#include "luts/codes.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace lutra::luts {

namespace {

template <class Value>
Value load(const std::byte* at) {
  Value value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::int64_t CodesView::at(std::size_t architecture, std::size_t position) const {
  const std::byte* from = address(architecture, position);
  switch (width) {
    case 1:
      return is_signed ? load<std::int8_t>(from) : load<std::uint8_t>(from);
    case 2:
      return is_signed ? load<std::int16_t>(from) : load<std::uint16_t>(from);
    case 4:
      return is_signed ? load<std::int32_t>(from) : std::int64_t{load<std::uint32_t>(from)};
    default:
      return is_signed
                 ? load<std::int64_t>(from)
                 : static_cast<std::int64_t>(std::min<std::uint64_t>(load<std::uint64_t>(from), INT64_MAX));
  }
}

CodeError::CodeError(std::size_t architecture, std::size_t position, std::int64_t code, std::size_t limit)
    : std::out_of_range("architecture " + std::to_string(architecture) + " has choice " +
                        std::to_string(code) + " at position " + std::to_string(position) + ", which has " +
                        std::to_string(limit)) {}

void refuse_misfit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                   std::size_t count) {
  for (std::size_t i = first; i < first + count; ++i)
    for (std::size_t p = 0; p < codes.positions; ++p) {
      const std::int64_t code = codes.at(i, p);
      if (code < 0 || code >= std::int64_t{limits[p]}) throw CodeError(i, p, code, limits[p]);
    }
}

}  // namespace lutra::luts
