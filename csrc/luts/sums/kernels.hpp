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

/// Choices of a few architectures: of the i-th at position p, first[i * architecture_step + p *
/// position_step].
template <class Code>
struct TileCodes {
  const Code* first;
  std::ptrdiff_t architecture_step;
  std::ptrdiff_t position_step;
};

/// What is worked on at a time. A choice c at position p costs rows[p * row_stride + c]. All codes are below
/// `choices`, or, if they are bytes, rows are kByteRow long. `codes` go on by 1 in one of their two
/// directions.
template <class Code>
struct Tile {
  const float* rows;
  std::size_t row_stride;
  std::size_t choices;
  TileCodes<Code> codes;
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

/// Cost by cost, for any codes: what the kernels for vectors leave to it.
const SumKernels& baseline_sums();

/// The kernels compiled for `isa`. Throws std::invalid_argument where this machine cannot run them.
const SumKernels& sum_kernels(Isa isa);

}  // namespace lutra::luts
