// Any codes, one number at a time. No include guard and nothing external: compiled once per instruction set.

namespace {

template <Reduce reduce>
inline float combine(float sum, float cost) {
  if constexpr (reduce == Reduce::kSum) return sum + cost;
  return sum > cost ? sum : cost;
}

/// `kWidth` architectures from the i-th on, `step` codes apart; their sums stay in registers.
template <Reduce reduce, std::size_t kWidth, class Code>
inline void scalar_block(const Tile<Code>& tile, std::size_t i, std::ptrdiff_t step) {
  float sums[kWidth];
  for (std::size_t k = 0; k < kWidth; ++k) sums[k] = tile.start;
  const float* row = tile.rows;
  const Code* codes = tile.codes.first + static_cast<std::ptrdiff_t>(i) * step;
  for (std::size_t p = 0; p < tile.positions; ++p, row += tile.row_stride, codes += tile.codes.position_step)
    for (std::size_t k = 0; k < kWidth; ++k)
      sums[k] = combine<reduce>(sums[k], row[codes[static_cast<std::ptrdiff_t>(k) * step]]);
  for (std::size_t k = 0; k < kWidth; ++k) tile.out[i + k] = sums[k];
}

/// The architectures from the i-th on. Fewer at a time where each needs an address of its own.
template <Reduce reduce, class Code>
inline void scalar_rest(const Tile<Code>& tile, std::size_t i) {
  const std::ptrdiff_t step = tile.codes.architecture_step;
  if (step == 1)
    for (; i + 8 <= tile.count; i += 8) scalar_block<reduce, 8>(tile, i, 1);
  for (; i + 4 <= tile.count; i += 4) scalar_block<reduce, 4>(tile, i, step);
  for (; i < tile.count; ++i) scalar_block<reduce, 1>(tile, i, step);
}

}  // namespace
