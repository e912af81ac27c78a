// 8-bit convolution. A tile of Rows pixels x (Vectors vectors of output channels) of 32-bit sums stays in
// registers while taps and pairs of input channels run.

namespace lutra::cpu::LUTRA_ISA {

using VecPairs = int16_t __attribute__((vector_size(LUTRA_LANES * 4)));
using PackedPairs = int8_t __attribute__((vector_size(LUTRA_LANES * 2)));

// a[2i] * b[2i] + a[2i + 1] * b[2i + 1] for every i.
LUTRA_INLINE VecInt multiply_pairs(VecPairs a, VecPairs b) {
#ifdef LUTRA_MULTIPLY_PAIRS
  return (VecInt)LUTRA_MULTIPLY_PAIRS(a, b);
#else
  const VecInt left = (VecInt)a;
  const VecInt right = (VecInt)b;
  return (left << 16 >> 16) * (right << 16 >> 16) + (left >> 16) * (right >> 16);
#endif
}

LUTRA_INLINE VecPairs load_weights(const int8_t* p) {
  PackedPairs packed;
  __builtin_memcpy(&packed, p, sizeof packed);
  return __builtin_convertvector(packed, VecPairs);
}

LUTRA_INLINE VecPairs splat_pair(const int16_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return (VecPairs)(pair - VecInt{});
}

// Where the whole blocks of the panel lie in y, and the channels of one that is not whole.
template <class Copy>
LUTRA_INLINE void for_each_block(const QuantisedConv& conv, int64_t pixel, Copy copy) {
  const int64_t origin = pixel * conv.y_pixel_stride;
  for (int64_t i = 0; i < conv.channels; i += kChannelBlock) {
    const int64_t channel = conv.first_channel + i;
    if (channel % kChannelBlock == 0 && i + kChannelBlock <= conv.channels) {
      copy(origin + channel / kChannelBlock * conv.y_block_stride, i, kChannelBlock);
      continue;
    }
    for (int64_t k = i; k < i + kChannelBlock && k < conv.channels; ++k) {
      const int64_t at = conv.first_channel + k;
      copy(origin + at / kChannelBlock * conv.y_block_stride + at % kChannelBlock, k, 1);
    }
  }
}

LUTRA_INLINE void copy_channels(const uint8_t* from, uint8_t* to, int64_t count) {
  if (count == kChannelBlock)
    __builtin_memcpy(to, from, kChannelBlock);
  else
    *to = *from;
}

// `sums` are of `rows` pixels.
LUTRA_INLINE void finish_quantised_tile(const QuantisedConv& conv, int64_t first_pixel, int rows, int vectors,
                                        const int32_t (*sums)[kDirectColumns]) {
  const Requantisation to = conv.requantisation;
  const bool adds = conv.add != nullptr;
  for (int r = 0; r < rows; ++r) {
    uint8_t bytes[kDirectColumns] = {};
    if (adds)
      for_each_block(conv, first_pixel + r, [&](int64_t at, int64_t column, int64_t count) {
        copy_channels(conv.add + at, bytes + column, count);
      });
    for (int v = 0; v < vectors; ++v) {
      Vec value = to_floats(load_ints(sums[r] + v * kLanes)) * load(conv.multiplier + v * kLanes);
      VecByte result;
      __builtin_memcpy(&result, bytes + v * kLanes, sizeof result);
      if (adds) value = limited(value) + second_operand(result, to);  // else the clamp limits it
      result = narrowed(rounded(value, to));
      __builtin_memcpy(bytes + v * kLanes, &result, sizeof result);
    }
    for_each_block(conv, first_pixel + r, [&](int64_t at, int64_t column, int64_t count) {
      copy_channels(bytes + column, conv.y + at, count);
    });
  }
}

template <int Rows, int Vectors>
void quantised_tile(const QuantisedConv& given, int64_t first_pixel) {
  const QuantisedConv conv = given;
  VecInt acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v)
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) acc[r][v] = load_ints(conv.bias + v * kLanes);
  const int16_t* rows[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) rows[r] = conv.x + conv.pixel_offsets[first_pixel + r];
  const int8_t* weights = conv.weights;
  for (int64_t block = 0; block < conv.x_blocks; ++block) {
    const int64_t pairs = block + 1 == conv.x_blocks ? conv.pairs_in_last : kChannelBlock / 2;
    for (int64_t tap = 0; tap < conv.taps; ++tap) {
      const int64_t offset = block * conv.x_block_stride + conv.tap_offsets[tap];
#pragma GCC unroll 2
      for (int64_t pair = 0; pair < pairs; ++pair, weights += 2 * kDirectColumns) {
        VecPairs right[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) right[v] = load_weights(weights + 2 * v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const VecPairs left = splat_pair(rows[r] + offset + 2 * pair);
#pragma GCC unroll 8
          for (int v = 0; v < Vectors; ++v) acc[r][v] += multiply_pairs(left, right[v]);
        }
      }
    }
  }
  // By way of memory, so that the loops that follow need not be unrolled.
  int32_t sums[Rows][kDirectColumns];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) __builtin_memcpy(sums[r] + v * kLanes, &acc[r][v], sizeof(VecInt));
  finish_quantised_tile(conv, first_pixel, Rows, Vectors, sums);
}

using QuantisedTileFunction = void (*)(const QuantisedConv&, int64_t);

template <int Vectors, int... Rows>
constexpr std::array<QuantisedTileFunction, sizeof...(Rows)> quantised_tiles(
    std::integer_sequence<int, Rows...>) {
  return {&quantised_tile<Rows + 1, Vectors>...};
}

template <int... Vectors>
constexpr auto quantised_tile_table(std::integer_sequence<int, Vectors...>) {
  using AllRows = std::make_integer_sequence<int, kDirectRows>;
  return std::array<std::array<QuantisedTileFunction, kDirectRows>, sizeof...(Vectors)>{
      quantised_tiles<Vectors + 1>(AllRows{})...};
}

// kQuantisedTiles[vectors - 1][rows - 1]
constexpr auto kQuantisedTiles = quantised_tile_table(std::make_integer_sequence<int, kDirectVectors>{});

static void quantised_conv(const QuantisedConv& conv) {
  const int64_t vectors = (conv.channels + kLanes - 1) / kLanes;
  const auto& by_rows = kQuantisedTiles[static_cast<size_t>(vectors - 1)];
  const RowPanels tiles(conv.pixels, kDirectRows);
  for (int64_t i = 0; i < tiles.count; ++i)
    by_rows[static_cast<size_t>(tiles.height(i) - 1)](conv, tiles.start(i));
}

}  // namespace lutra::cpu::LUTRA_ISA
