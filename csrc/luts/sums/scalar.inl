// Any architectures, one number at a time. No include guard and nothing external: compiled once per
// instruction set.

namespace {

template <Reduce reduce>
inline float combine(float sum, float cost) {
  if constexpr (reduce == Reduce::kSum) return sum + cost;
  return sum > cost ? sum : cost;
}

/// `kWidth` architectures from the i-th on; their sums stay in registers.
template <Reduce reduce, std::size_t kWidth, class Code>
inline void scalar_block(const Tile<Code>& tile, std::size_t i) {
  float sums[kWidth];
  for (std::size_t k = 0; k < kWidth; ++k) sums[k] = tile.start;
  const float* row = tile.rows;
  const Code* codes = tile.codes + i;
  for (std::size_t p = 0; p < tile.positions; ++p, row += tile.row_stride, codes += tile.code_stride)
    for (std::size_t k = 0; k < kWidth; ++k) sums[k] = combine<reduce>(sums[k], row[codes[k]]);
  for (std::size_t k = 0; k < kWidth; ++k) tile.out[i + k] = sums[k];
}

/// The architectures from the i-th on.
template <Reduce reduce, class Code>
inline void scalar_rest(const Tile<Code>& tile, std::size_t i) {
  for (; i + 8 <= tile.count; i += 8) scalar_block<reduce, 8>(tile, i);
  for (; i < tile.count; ++i) scalar_block<reduce, 1>(tile, i);
}

}  // namespace
