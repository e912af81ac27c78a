#pragma once

#include <cstddef>
#include <cstdint>

#include "isa/isa.hpp"

namespace lutra::luts {

/// How the costs of an architecture's choices become one number.
enum class Reduce { kSum, kMax };

/// A row of costs is this long for codes of one byte: whatever the byte, it reads within the row. The rest
/// over 256 spreads rows over the sets of a cache.
constexpr std::size_t kByteRow = 256 + 16;

/// One tile: architecture i chooses codes[p * code_stride + i] at position p, which costs row[that], where
/// row is rows + p * row_stride. All codes are below `choices`, or, if they are bytes, rows are kByteRow
/// long.
template <class Code>
struct Tile {
  const float* rows;
  std::size_t row_stride;
  std::size_t choices;
  const Code* codes;
  std::ptrdiff_t code_stride;  ///< may be negative
  std::size_t positions;
  std::size_t count;
  float start;  ///< what the reduction begins with
  float* out;   ///< one number per architecture
};

/// Costs are added position by position, so that the same codes give the same bits with every instruction
/// set.
struct SumKernels {
  void (*bytes)(const Tile<std::uint8_t>& tile, Reduce reduce);
  void (*words)(const Tile<std::uint16_t>& tile, Reduce reduce);
};

/// The kernels compiled for `isa`. Throws std::invalid_argument where this machine cannot run them.
const SumKernels& sum_kernels(Isa isa);

}  // namespace lutra::luts
