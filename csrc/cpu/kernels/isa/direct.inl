// Dense convolution into blocks of channels. A tile of Rows pixels x (Vectors vectors of output channels)
// stays in registers while taps and input channels run.

namespace lutra::cpu::LUTRA_ISA {

static constexpr float kPaddingPixel[kChannelBlock] = {};

// Where the channels of vector `v` of a pixel are: vectors may be half a block, a block, or two.
LUTRA_INLINE int64_t channels_at(int v, int64_t block_stride) {
  const int64_t channel = v * kLanes;
  return channel / kChannelBlock * block_stride + channel % kChannelBlock;
}

struct DirectTile {
  DirectConv conv;
  const int32_t* offsets;
  const TapPixels* tap_pixels;
  int64_t first_pixel;
  int64_t y_blocks;
};

// Vectors of two blocks are put together from both; the second may be absent.
LUTRA_INLINE Vec load_channels(const float* p, int v, int64_t block_stride, int64_t blocks) {
  const float* from = p + channels_at(v, block_stride);
  if constexpr (kLanes <= kChannelBlock) return load(from);
  float lanes[kLanes] = {};
  constexpr size_t kBytes = kChannelBlock * sizeof(float);
  __builtin_memcpy(lanes, from, kBytes);
  if (2 * v + 1 < blocks) __builtin_memcpy(lanes + kLanes / 2, from + block_stride, kBytes);
  return load(lanes);
}

LUTRA_INLINE void store_channels(float* p, int v, int64_t block_stride, int64_t blocks, Vec value) {
  float* to = p + channels_at(v, block_stride);
  if constexpr (kLanes <= kChannelBlock) return store(to, value);
  float lanes[kLanes];
  store(lanes, value);
  constexpr size_t kBytes = kChannelBlock * sizeof(float);
  __builtin_memcpy(to, lanes, kBytes);
  if (2 * v + 1 < blocks) __builtin_memcpy(to + block_stride, lanes + kLanes / 2, kBytes);
}

template <int Rows, int Vectors>
LUTRA_INLINE void start_direct_tile(const DirectTile& tile, Vec (&acc)[Rows][Vectors]) {
  const DirectConv& conv = tile.conv;
  const int64_t block_stride = conv.pixels * kChannelBlock;
  const float* y = conv.y + tile.first_pixel * kChannelBlock;
  const float* add = conv.add ? conv.add + tile.first_pixel * kChannelBlock : nullptr;
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    const Vec bias = conv.bias ? load_channels(conv.bias, v, kChannelBlock, tile.y_blocks) : Vec{};
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      acc[r][v] = conv.bias ? bias : load_channels(y + r * kChannelBlock, v, block_stride, tile.y_blocks);
      if (add) acc[r][v] += load_channels(add + r * kChannelBlock, v, block_stride, tile.y_blocks);
    }
  }
}

// acc[r][v] += x[r][k] * weights[k][v] for the channels k of one tap of one input block. `x(r)` is where the
// channels of pixel r are.
template <int Rows, int Vectors, class Pixels>
LUTRA_INLINE void add_channel(const Pixels& x, int64_t k, const float* weights, Vec (&acc)[Rows][Vectors]) {
  Vec right[Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) right[v] = load(weights + v * kLanes);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    const float left = x(r)[k];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) acc[r][v] += left * right[v];
  }
}

template <int Rows, int Vectors, class Pixels>
LUTRA_INLINE void add_channels(const Pixels& x, int64_t channels, const float* weights,
                               Vec (&acc)[Rows][Vectors]) {
// Not further: code that the decoded-instruction cache does not hold runs slower.
#pragma GCC unroll 2
  for (int64_t k = 0; k < channels; ++k) add_channel<Rows, Vectors>(x, k, weights + k * kDirectColumns, acc);
}

template <int Rows, int Vectors>
void direct_tile(const DirectTile& given) {
  const DirectTile tile = given;
  const DirectConv& conv = tile.conv;
  Vec acc[Rows][Vectors];
  start_direct_tile<Rows, Vectors>(tile, acc);
  const float* weights = conv.weights;
  const float* plane = conv.x;
  for (int64_t block = 0; block < conv.x_blocks; ++block, plane += conv.x_block_stride) {
    const bool last = block + 1 == conv.x_blocks;
    const int64_t channels = last ? conv.channels_in_last : conv.channels_per_block;
    const int32_t* offsets = tile.offsets;
    for (int64_t tap = 0; tap < conv.taps; ++tap, offsets += kDirectRows) {
      if (tile.tap_pixels[tap] == TapPixels::kEven) {
        const float* first = plane + offsets[0];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; r += 2)
          __builtin_prefetch(first + (Rows + r) * conv.pixel_step);  // the next tile
        if (conv.pixel_step == kChannelBlock)
          add_channels<Rows, Vectors>([=](int r) { return first + r * kChannelBlock; }, channels, weights,
                                      acc);
        else
          add_channels<Rows, Vectors>([=](int r) { return first + r * conv.pixel_step; }, channels, weights,
                                      acc);
      } else if (tile.tap_pixels[tap] == TapPixels::kUneven) {
        const float* x[Rows];
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) x[r] = offsets[r] < 0 ? kPaddingPixel : plane + offsets[r];
        add_channels<Rows, Vectors>([&](int r) { return x[r]; }, channels, weights, acc);
      }
      weights += channels * kDirectColumns;
    }
  }
  float* y = conv.y + tile.first_pixel * kChannelBlock;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      store_channels(y + r * kChannelBlock, v, conv.pixels * kChannelBlock, tile.y_blocks,
                     clamp(acc[r][v], conv.clamp));
}

using DirectTileFunction = void (*)(const DirectTile&);

template <int Vectors, int... Rows>
constexpr std::array<DirectTileFunction, sizeof...(Rows)> direct_tiles(std::integer_sequence<int, Rows...>) {
  return {&direct_tile<Rows + 1, Vectors>...};
}

template <int... Vectors>
constexpr auto direct_tile_table(std::integer_sequence<int, Vectors...>) {
  using AllRows = std::make_integer_sequence<int, kDirectRows>;
  return std::array<std::array<DirectTileFunction, kDirectRows>, sizeof...(Vectors)>{
      direct_tiles<Vectors + 1>(AllRows{})...};
}

// kDirectTiles[vectors - 1][rows - 1]
constexpr auto kDirectTiles = direct_tile_table(std::make_integer_sequence<int, kDirectVectors>{});

static void direct_conv(const DirectConv& conv) {
  const int64_t vectors = (conv.y_blocks * kChannelBlock + kLanes - 1) / kLanes;
  const auto& by_rows = kDirectTiles[static_cast<size_t>(vectors - 1)];
  const RowPanels tiles(conv.pixels, kDirectRows);
  for (int64_t i = conv.first_tile; i < conv.last_tile; ++i) {
    const DirectTile tile{conv, conv.offsets + i * conv.taps * kDirectRows, conv.tap_pixels + i * conv.taps,
                          tiles.start(i), conv.y_blocks};
    by_rows[static_cast<size_t>(tiles.height(i) - 1)](tile);
  }
}

}  // namespace lutra::cpu::LUTRA_ISA
