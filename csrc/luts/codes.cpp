#include "luts/codes.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace lutra::luts {

namespace {

constexpr std::size_t kTileBytes = 16 * 1024;
constexpr std::size_t kMinTile = 64;
constexpr std::size_t kMaxTile = 1024;

template <class Value>
Value load(const std::byte* at) {
  Value value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// One position of a few architectures; returns whether all codes were below the limit.
template <class Value, class Code>
bool copy_column(const std::byte* from, std::ptrdiff_t step, std::size_t count, std::uint64_t limit,
                 Code* to) {
  Value misfits = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Value value = load<Value>(from + static_cast<std::ptrdiff_t>(i) * step);
    const bool fits = value < limit;
    misfits = static_cast<Value>(misfits | !fits);
    to[i] = fits ? static_cast<Code>(value) : Code{0};
  }
  return misfits == 0;
}

/// In slices of few architectures, so that those stay in the first cache however their positions lie.
template <class Value, class Code>
bool copy_slices(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                 std::size_t count, Code* to, std::size_t stride) {
  bool fit = true;
  for (std::size_t done = 0; done < count; done += kMinTile) {
    const std::size_t slice = std::min(kMinTile, count - done);
    const std::byte* from = codes.data + static_cast<std::ptrdiff_t>(first + done) * codes.architecture_step;
    for (std::size_t p = 0; p < codes.positions; ++p)
      fit &= copy_column<Value>(from + static_cast<std::ptrdiff_t>(p) * codes.position_step,
                                codes.architecture_step, slice, nameable(codes, limits[p]),
                                to + p * stride + done);
  }
  return fit;
}

}  // namespace

std::int64_t CodesView::at(std::size_t architecture, std::size_t position) const {
  const std::byte* from = data + static_cast<std::ptrdiff_t>(architecture) * architecture_step +
                          static_cast<std::ptrdiff_t>(position) * position_step;
  switch (width) {
    case 1:
      return is_signed ? load<std::int8_t>(from) : load<std::uint8_t>(from);
    case 2:
      return is_signed ? load<std::int16_t>(from) : load<std::uint16_t>(from);
    case 4:
      return is_signed ? load<std::int32_t>(from) : static_cast<std::int64_t>(load<std::uint32_t>(from));
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

std::uint64_t nameable(const CodesView& codes, std::uint32_t limit) {
  const std::uint64_t values = std::uint64_t{1} << (8 * codes.width - (codes.width == 8 || codes.is_signed));
  return std::min<std::uint64_t>(limit, values);
}

template <class Code>
bool copy_codes(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                std::size_t count, Code* to, std::size_t stride) {
  switch (codes.width) {
    case 1:
      return copy_slices<std::uint8_t>(codes, limits, first, count, to, stride);
    case 2:
      return copy_slices<std::uint16_t>(codes, limits, first, count, to, stride);
    case 4:
      return copy_slices<std::uint32_t>(codes, limits, first, count, to, stride);
    default:
      return copy_slices<std::uint64_t>(codes, limits, first, count, to, stride);
  }
}

template bool copy_codes(const CodesView&, std::span<const std::uint32_t>, std::size_t, std::size_t,
                         std::uint8_t*, std::size_t);
template bool copy_codes(const CodesView&, std::span<const std::uint32_t>, std::size_t, std::size_t,
                         std::uint16_t*, std::size_t);

bool bytes_fit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
               std::size_t count) {
  bool fit = true;
  for (std::size_t p = 0; p < codes.positions; ++p) {
    const auto* column = reinterpret_cast<const std::uint8_t*>(
        codes.data + static_cast<std::ptrdiff_t>(p) * codes.position_step +
        static_cast<std::ptrdiff_t>(first));
    std::uint8_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) largest = largest > column[i] ? largest : column[i];
    fit &= largest < nameable(codes, limits[p]);
  }
  return fit;
}

void refuse_misfit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                   std::size_t count) {
  for (std::size_t i = first; i < first + count; ++i)
    for (std::size_t p = 0; p < codes.positions; ++p) {
      const std::int64_t code = codes.at(i, p);
      if (code < 0 || code >= std::int64_t{limits[p]}) throw CodeError(i, p, code, limits[p]);
    }
}

std::size_t tile_size(std::size_t positions) {
  const std::size_t fitting = kTileBytes / std::max<std::size_t>(positions, 1) / kMinTile * kMinTile;
  return std::clamp(fitting, kMinTile, kMaxTile);
}

}  // namespace lutra::luts
