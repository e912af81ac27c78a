#include "luts/tiles.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace lutra::luts {

namespace {

constexpr std::size_t kTileBytes = 64 * 1024;
constexpr std::size_t kMinTile = 64;
constexpr std::size_t kMaxTile = 4096;

/// Narrows `count` values that lie `step` bytes apart. Returns the bits that did not fit, of all of them
/// together.
template <class Value, class Code>
std::uint64_t narrow(const std::byte* from, std::ptrdiff_t step, std::size_t count, Code* to) {
  using Bits = std::make_unsigned_t<Value>;
  Bits lost = 0;
  for (std::size_t i = 0; i < count; ++i, from += step) {
    Value value;
    std::memcpy(&value, from, sizeof value);
    to[i] = static_cast<Code>(value);
    if constexpr (sizeof(Value) > sizeof(Code))
      lost = static_cast<Bits>(lost | static_cast<Bits>(value) >> (8 * sizeof(Code)));
  }
  return lost;
}

/// The same with the step known, which lets the loop be vectorised.
template <class Value, class Code>
std::uint64_t narrow_line(const std::byte* from, std::ptrdiff_t step, std::size_t count, Code* to) {
  if (step == sizeof(Value)) return narrow<Value>(from, sizeof(Value), count, to);
  return narrow<Value>(from, step, count, to);
}

template <class Code>
Code largest_of(const Code* values, std::size_t count) {
  Code largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = largest > values[i] ? largest : values[i];
  return largest;
}

/// largest[i] becomes the larger of it and values[i]; the two do not overlap.
template <class Code>
void raise(const Code* __restrict values, std::size_t count, Code* __restrict largest) {
  for (std::size_t i = 0; i < count; ++i) largest[i] = largest[i] > values[i] ? largest[i] : values[i];
}

/// How many choices codes of this type can name, up to `limit`: what looks larger is a negative code.
std::uint64_t nameable(const CodesView& codes, std::uint32_t limit) {
  const std::uint64_t values = std::uint64_t{1} << (8 * codes.width - (codes.width == 8 || codes.is_signed));
  return std::min<std::uint64_t>(limit, values);
}

}  // namespace

std::size_t tile_size(std::size_t positions) {
  const std::size_t fitting = kTileBytes / std::max<std::size_t>(positions, 1) / kMinTile * kMinTile;
  return std::clamp(fitting, kMinTile, kMaxTile);
}

template <class Code>
TileReader<Code>::TileReader(const CodesView& codes, std::span<const std::uint32_t> limits)
    : codes_(codes),
      limits_(limits),
      by_architecture_(std::abs(codes.position_step) < std::abs(codes.architecture_step)),
      copy_(copied() ? tile_size(codes.positions) * codes.positions : 0),
      largest_(codes.positions) {}

/// A byte finds a cost whatever it is, so that bytes may stay where somebody could change them after the
/// check.
template <class Code>
bool TileReader<Code>::copied() const {
  const std::ptrdiff_t step = by_architecture_ ? codes_.position_step : codes_.architecture_step;
  return sizeof(Code) != 1 || codes_.width != 1 || step != 1;
}

template <class Code>
TileCodes<Code> TileReader<Code>::read(std::size_t first, std::size_t count) {
  const auto positions = static_cast<std::ptrdiff_t>(codes_.positions);
  const std::byte* from = codes_.address(first, 0);
  TileCodes<Code> tile{.first = reinterpret_cast<const Code*>(from),
                       .architecture_step = codes_.architecture_step,
                       .position_step = codes_.position_step};
  bool whole = true;
  if (copied()) {
    whole = copy(from, count);
    tile = {.first = copy_.data(),
            .architecture_step = by_architecture_ ? positions : 1,
            .position_step = by_architecture_ ? 1 : static_cast<std::ptrdiff_t>(count)};
  }
  if (!whole || !fit(tile, count)) {
    refuse_misfit(codes_, limits_, first, count);
    throw std::runtime_error("codes change while they are read");
  }
  return tile;
}

template <class Code>
bool TileReader<Code>::copy(const std::byte* from, std::size_t count) {
  switch (codes_.width) {
    case 1:
      return codes_.is_signed ? copy_as<std::int8_t>(from, count) : copy_as<std::uint8_t>(from, count);
    case 2:
      return codes_.is_signed ? copy_as<std::int16_t>(from, count) : copy_as<std::uint16_t>(from, count);
    case 4:
      return codes_.is_signed ? copy_as<std::int32_t>(from, count) : copy_as<std::uint32_t>(from, count);
    default:
      return codes_.is_signed ? copy_as<std::int64_t>(from, count) : copy_as<std::uint64_t>(from, count);
  }
}

/// Returns whether no code lost bits.
template <class Code>
template <class Value>
bool TileReader<Code>::copy_as(const std::byte* from, std::size_t count) {
  const bool rows = by_architecture_;
  std::ptrdiff_t step = rows ? codes_.position_step : codes_.architecture_step;
  std::ptrdiff_t line_step = rows ? codes_.architecture_step : codes_.position_step;
  std::size_t length = rows ? codes_.positions : count;
  std::size_t lines = rows ? count : codes_.positions;
  if (line_step == static_cast<std::ptrdiff_t>(length) * step) {  // one line follows the other: one long line
    length *= lines;
    lines = 1;
  }
  std::uint64_t lost = 0;
  for (std::size_t line = 0; line < lines; ++line)
    lost |= narrow_line<Value>(from + static_cast<std::ptrdiff_t>(line) * line_step, step, length,
                               copy_.data() + line * length);
  return lost == 0;
}

template <class Code>
bool TileReader<Code>::fit(const TileCodes<Code>& tile, std::size_t count) {
  std::fill(largest_.begin(), largest_.end(), Code{0});
  const std::size_t positions = codes_.positions;
  if (by_architecture_)
    for (std::size_t i = 0; i < count; ++i)
      raise(tile.first + static_cast<std::ptrdiff_t>(i) * tile.architecture_step, positions, largest_.data());
  else
    for (std::size_t p = 0; p < positions; ++p)
      largest_[p] = largest_of(tile.first + static_cast<std::ptrdiff_t>(p) * tile.position_step, count);
  for (std::size_t p = 0; p < positions; ++p)
    if (largest_[p] >= nameable(codes_, limits_[p])) return false;
  return true;
}

template class TileReader<std::uint8_t>;
template class TileReader<std::uint16_t>;

}  // namespace lutra::luts
