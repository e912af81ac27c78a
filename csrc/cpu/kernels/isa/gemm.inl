// Register-blocked matrix multiplication. A tile of Rows x (Columns vectors) of C stays in registers while k
// runs.

namespace lutra::cpu::LUTRA_ISA {

constexpr int kGemmRows = LUTRA_GEMM_ROWS;
constexpr int kGemmVectors = LUTRA_GEMM_VECTORS;
constexpr int64_t kGemmColumns = kGemmVectors * kLanes;

struct Tile {
  const float* a;
  int64_t a_row_stride;  // row-major A only
  const float* b;
  int64_t b_row_stride;
  int64_t depth;
  float* c;
  int64_t c_row_stride;
  const float* add;
  int64_t add_row_stride;
  const float* row_bias;
  const float* column_bias;
  Clamp clamp;
};

// acc[r][v] += A[r][k] * B[k][v] for one k.
template <int Rows, int Vectors, bool Packed>
LUTRA_INLINE void multiply_add(const float* a, int64_t a_row_stride, const float* b,
                               Vec (&acc)[Rows][Vectors]) {
  Vec right[Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) right[v] = load(b + v * kLanes);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const float left = Packed ? a[r] : a[r * a_row_stride];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) acc[r][v] += left * right[v];
  }
}

template <int Rows, int Vectors>
LUTRA_INLINE void finish_tile(const Tile tile, Vec (&acc)[Rows][Vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const Vec bias = splat(tile.row_bias ? tile.row_bias[r] : 0.0F);
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Vec value = acc[r][v] + bias;
      if (tile.column_bias) value += load(tile.column_bias + v * kLanes);
      if (tile.add) value += load(tile.add + r * tile.add_row_stride + v * kLanes);
      store(tile.c + r * tile.c_row_stride + v * kLanes, clamp(value, tile.clamp));
    }
  }
}

// Low tiles keep several partial sums per element (Chains), because one chain of dependent multiply-adds per
// register would leave the multipliers idle for most of the latency.
template <int Rows, int Vectors, bool Packed>
void compute_tile(const Tile& tile) {
  constexpr int kChains = Rows * Vectors >= 6 ? 1 : (Rows * Vectors >= 3 ? 2 : 4);
  constexpr int64_t kStep = Packed ? kGemmRows : 1;
  Vec acc[kChains][Rows][Vectors] = {};
  const float* a = tile.a;
  const float* b = tile.b;
  int64_t k = 0;
  for (; k + kChains <= tile.depth; k += kChains) {
#pragma GCC unroll 4
    for (int chain = 0; chain < kChains; ++chain)
      multiply_add<Rows, Vectors, Packed>(a + chain * kStep, tile.a_row_stride, b + chain * tile.b_row_stride,
                                          acc[chain]);
    a += kChains * kStep;
    b += kChains * tile.b_row_stride;
  }
  for (; k < tile.depth; ++k, a += kStep, b += tile.b_row_stride)
    multiply_add<Rows, Vectors, Packed>(a, tile.a_row_stride, b, acc[0]);
#pragma GCC unroll 4
  for (int chain = 1; chain < kChains; ++chain)
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) acc[0][r][v] += acc[chain][r][v];
  finish_tile<Rows, Vectors>(tile, acc[0]);
}

using TileFunction = void (*)(const Tile&);

template <int Vectors, bool Packed, int... Rows>
constexpr std::array<TileFunction, sizeof...(Rows)> tile_functions(std::integer_sequence<int, Rows...>) {
  return {&compute_tile<Rows + 1, Vectors, Packed>...};
}

template <bool Packed, int... Vectors>
constexpr auto tile_table(std::integer_sequence<int, Vectors...>) {
  using AllRows = std::make_integer_sequence<int, kGemmRows>;
  return std::array<std::array<TileFunction, kGemmRows>, sizeof...(Vectors)>{
      tile_functions<Vectors + 1, Packed>(AllRows{})...};
}

// kTiles[packed][vectors - 1][rows - 1]
constexpr std::array<std::array<std::array<TileFunction, kGemmRows>, kGemmVectors>, 2> kTiles{
    tile_table<false>(std::make_integer_sequence<int, kGemmVectors>{}),
    tile_table<true>(std::make_integer_sequence<int, kGemmVectors>{})};

// A tile narrower than its vectors goes through a small copy, so that nothing past a row of C is touched.
LUTRA_INLINE void compute_edge_tile(TileFunction compute, Tile tile, int64_t rows, int64_t columns) {
  float c[kGemmRows * kGemmColumns];
  float add[kGemmRows * kGemmColumns];
  float column_bias[kGemmColumns];
  float* const out = tile.c;
  const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
  if (tile.add) {
    __builtin_memset(add, 0, sizeof add);
    for (int64_t r = 0; r < rows; ++r)
      __builtin_memcpy(add + r * kGemmColumns, tile.add + r * tile.add_row_stride, bytes);
    tile.add = add;
    tile.add_row_stride = kGemmColumns;
  }
  if (tile.column_bias) {
    __builtin_memset(column_bias, 0, sizeof column_bias);
    __builtin_memcpy(column_bias, tile.column_bias, bytes);
    tile.column_bias = column_bias;
  }
  const int64_t out_stride = tile.c_row_stride;
  tile.c = c;
  tile.c_row_stride = kGemmColumns;
  compute(tile);
  for (int64_t r = 0; r < rows; ++r) __builtin_memcpy(out + r * out_stride, c + r * kGemmColumns, bytes);
}

LUTRA_INLINE Tile tile_at(const GemmBlock& block, int64_t panel, int64_t column) {
  const int64_t row = block.panels.start(panel);
  Tile tile;
  tile.a = block.a + (block.a_packed ? panel * block.a_panel_stride : row * block.a_row_stride);
  tile.a_row_stride = block.a_row_stride;
  tile.b = block.b + (column / kGemmColumns) * block.b_panel_stride;
  tile.b_row_stride = block.b_row_stride;
  tile.depth = block.depth;
  tile.c = block.c + row * block.c_row_stride + column;
  tile.c_row_stride = block.c_row_stride;
  tile.add = block.add ? block.add + row * block.add_row_stride + column : nullptr;
  tile.add_row_stride = block.add_row_stride;
  tile.row_bias = block.row_bias ? block.row_bias + row : nullptr;
  tile.column_bias = block.column_bias ? block.column_bias + column : nullptr;
  tile.clamp = block.clamp;
  return tile;
}

// The panel of B stays in the first-level cache while all panels of A pass by.
static void gemm_block(const GemmBlock& block) {
  const auto& by_vectors = kTiles[block.a_packed ? 1 : 0];
  for (int64_t column = 0; column < block.columns; column += kGemmColumns) {
    const int64_t left = block.columns - column;
    const int64_t width = left < kGemmColumns ? left : kGemmColumns;
    const auto& by_rows = by_vectors[static_cast<size_t>((width + kLanes - 1) / kLanes - 1)];
    for (int64_t panel = block.first_panel; panel < block.last_panel; ++panel) {
      const int64_t rows = block.panels.height(panel);
      const TileFunction compute = by_rows[static_cast<size_t>(rows - 1)];
      const Tile tile = tile_at(block, panel, column);
      if (width % kLanes == 0)
        compute(tile);
      else
        compute_edge_tile(compute, tile, rows, width);
    }
  }
}

}  // namespace lutra::cpu::LUTRA_ISA
