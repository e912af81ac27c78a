// 8-bit convolution. A tile of Rows pixels x (Vectors vectors of output channels) of 32-bit sums stays in
// registers while taps and slices of input channels run: pairs, or quads where LUTRA_ADD_QUADS is the
// instruction that adds the products of four bytes without and four with a sign.

namespace lutra::cpu::LUTRA_ISA {

using VecBytes = int8_t __attribute__((vector_size(LUTRA_LANES * 4)));

#ifdef LUTRA_ADD_QUADS
constexpr int64_t kQuantisedDepth = 4;
using Staged = uint8_t;
using Factors = VecBytes;

LUTRA_INLINE VecInt add_products(VecInt sums, VecInt slice, Factors weights) {
  return (VecInt)LUTRA_ADD_QUADS(sums, slice, weights);
}
#else
constexpr int64_t kQuantisedDepth = 2;
using Staged = int16_t;
using Factors = int16_t __attribute__((vector_size(LUTRA_LANES * 4)));

LUTRA_INLINE VecInt add_products(VecInt sums, VecInt slice, Factors weights) {
#ifdef LUTRA_MULTIPLY_PAIRS
  return sums + (VecInt)LUTRA_MULTIPLY_PAIRS(slice, weights);
#else
  const VecInt right = (VecInt)weights;
  return sums + (slice << 16 >> 16) * (right << 16 >> 16) + (slice >> 16) * (right >> 16);
#endif
}
#endif

// The weights of one slice of input channels, for one vector of output channels.
LUTRA_INLINE Factors load_weights(const int8_t* p) {
  int8_t __attribute__((vector_size(LUTRA_LANES * kQuantisedDepth))) packed;
  __builtin_memcpy(&packed, p, sizeof packed);
  return __builtin_convertvector(packed, Factors);
}

// One slice of input channels of a pixel, for every output channel.
LUTRA_INLINE VecInt splat_slice(const Staged* p) {
  int32_t slice;
  __builtin_memcpy(&slice, p, sizeof slice);
  return slice - VecInt{};
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

// As `finish_quantised_tile`, where nothing is added and whole blocks are written.
template <int Rows, int Vectors>
LUTRA_INLINE void store_quantised_tile(const QuantisedConv& conv, int64_t first_pixel,
                                       const VecInt (&sums)[Rows][Vectors]) {
  constexpr int64_t kPart = kLanes < kChannelBlock ? kLanes : kChannelBlock;
  const Requantisation to = conv.requantisation;
  uint8_t* const y = conv.y + first_pixel * conv.y_pixel_stride;
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    const Vec multiplier = load(conv.multiplier + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const VecByte bytes = narrowed(rounded(to_floats(sums[r][v]) * multiplier, to));
#pragma GCC unroll 2
      for (int64_t part = 0; part < kLanes; part += kPart) {
        const int64_t channel = conv.first_channel + v * kLanes + part;
        uint8_t* const block = y + r * conv.y_pixel_stride + channel / kChannelBlock * conv.y_block_stride;
        __builtin_memcpy(block + channel % kChannelBlock, reinterpret_cast<const uint8_t*>(&bytes) + part,
                         kPart);
      }
    }
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
  const Staged* rows[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
    rows[r] = static_cast<const Staged*>(conv.x) + conv.pixel_offsets[first_pixel + r];
  const int8_t* weights = conv.weights;
  for (int64_t block = 0; block < conv.x_blocks; ++block) {
    const bool last = block + 1 == conv.x_blocks;
    const int64_t slices = last ? conv.slices_in_last : kChannelBlock / kQuantisedDepth;
    for (int64_t tap = 0; tap < conv.taps; ++tap) {
      const int64_t offset = block * conv.x_block_stride + conv.tap_offsets[tap];
#pragma GCC unroll 2
      for (int64_t i = 0; i < slices; ++i, weights += kQuantisedDepth * kDirectColumns) {
        Factors right[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) right[v] = load_weights(weights + kQuantisedDepth * v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const VecInt left = splat_slice(rows[r] + offset + kQuantisedDepth * i);
#pragma GCC unroll 8
          for (int v = 0; v < Vectors; ++v) acc[r][v] = add_products(acc[r][v], left, right[v]);
        }
      }
    }
  }
  if (conv.add == nullptr && conv.first_channel % kChannelBlock == 0 && conv.channels == Vectors * kLanes)
    return store_quantised_tile<Rows, Vectors>(conv, first_pixel, acc);
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
