// Blocks of architectures beside each other, by kinds of rows. Included by a file that defines Vec, VecIndex,
// kLanes, load, splat, store, widen, vector_combine and the kinds of rows.

namespace {

/// `kVectors` vectors of architectures from the i-th on.
template <Reduce reduce, class Row, std::size_t kVectors, class Code>
inline void vector_block(const Tile<Code>& tile, std::size_t i) {
  Vec sums[kVectors];
  for (std::size_t k = 0; k < kVectors; ++k) sums[k] = splat(tile.start);
  const float* costs = tile.rows;
  const Code* codes = tile.codes.first + i;
  for (std::size_t p = 0; p < tile.positions;
       ++p, costs += tile.row_stride, codes += tile.codes.position_step) {
    const Row row(costs);
    for (std::size_t k = 0; k < kVectors; ++k)
      sums[k] = vector_combine<reduce>(sums[k], row.pick(widen(codes + k * kLanes)));
  }
  for (std::size_t k = 0; k < kVectors; ++k) store(tile.out + i + k * kLanes, sums[k]);
}

template <Reduce reduce, class Row, class Code>
inline void vector_tile(const Tile<Code>& tile) {
  std::size_t i = 0;
  for (; i + 4 * kLanes <= tile.count; i += 4 * kLanes) vector_block<reduce, Row, 4>(tile, i);
  for (; i + kLanes <= tile.count; i += kLanes) vector_block<reduce, Row, 1>(tile, i);
  scalar_rest<reduce>(tile, i);
}

template <class Row, class Code>
inline void reduce_tile(const Tile<Code>& tile, Reduce reduce) {
  if (reduce == Reduce::kSum)
    vector_tile<Reduce::kSum, Row>(tile);
  else
    vector_tile<Reduce::kMax, Row>(tile);
}

}  // namespace
