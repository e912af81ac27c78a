// Square windows over a block of channels, where a vector holds the block of two neighbouring pixels
// (AVX-512). Input is loaded in pairs that begin at even columns, so that no load straddles two cache lines;
// what a tap meets is put together from two of them. Masks stand for the padding: images have no edges.
// Pixels are floats, or bytes that become floats on their way: their sums are exact.

namespace lutra::cpu::LUTRA_ISA {

// Of 32 registers twelve hold sums and nine the weights of a 3 x 3 window.
constexpr int kPairRows = 4;
constexpr int kPairVectors = 3;

// Intrinsics without a mask pass an undefined vector on, which compilers warn of; with this one they are the
// same instructions.
constexpr __mmask16 kAllLanes = 0xffff;

// Pairs that the taps of `vectors` vectors of output reach; the first begins at the first tap (Odd = 0) or
// one pixel before it.
constexpr int pairs_reached(int kernel, int stride, int odd, int vectors) {
  const int last = kernel - 1 + odd;  // pixel of the last tap
  return stride == 1 ? vectors + (last + 1) / 2 : 2 * vectors + last / 2;
}
constexpr int kMostPairs = pairs_reached(7, 2, 1, kPairVectors);

// The block's channels for both pixels of a pair.
LUTRA_INLINE Vec both(const float* channels) {
  return (Vec)_mm512_maskz_broadcast_f32x8(kAllLanes, _mm256_loadu_ps(channels));
}

LUTRA_INLINE VecInt both(const int32_t* channels) {
  const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(channels));
  return (VecInt)_mm512_maskz_broadcast_i32x8(kAllLanes, block);
}

// Pixels t and t + Stride, where pair 0 holds pixels 0 and 1.
template <int Stride>
LUTRA_INLINE Vec tap_pair(const Vec* pairs, int t) {
  const auto a = (__m512)pairs[t / 2];
  const auto b = (__m512)pairs[t / 2 + (t % 2 > 0 || Stride > 1 ? 1 : 0)];
  if constexpr (Stride == 1)
    return t % 2 == 0 ? (Vec)a : (Vec)_mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0x4e);
  return t % 2 == 0 ? (Vec)_mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0x44)
                    : (Vec)_mm512_maskz_shuffle_f32x4(kAllLanes, a, b, 0xee);
}

// Which floats of each pair lie inside the image: columns [0, columns) of pairs that begin at `column`.
template <int Pairs>
LUTRA_INLINE void pair_masks(int64_t column, int64_t columns, __mmask16 (&masks)[Pairs]) {
  static constexpr uint16_t kMasks[4] = {0, 0x00ff, 0xff00, 0xffff};
  const int64_t lead = column < 0 ? -column : 0;
  const int64_t room = columns - column;
  const int64_t end = room < 2 * Pairs ? room : 2 * Pairs;
  // One bit per pixel; windows wholly to the right of the image have none.
  const uint32_t pixels = end > lead ? (1U << end) - (1U << lead) : 0;
#pragma GCC unroll 16
  for (int i = 0; i < Pairs; ++i) masks[i] = kMasks[pixels >> (2 * i) & 3];
}

// Both pixels of `scale`, across the channels.
LUTRA_INLINE Vec pair_scale(const float* scale, __mmask16 mask) {
  const __m512 first = _mm512_set1_ps(scale[0]);
  if (mask != kAllLanes) return (Vec)first;
  return (Vec)_mm512_mask_broadcastss_ps(first, 0xff00, _mm_load_ss(scale + 1));
}

template <WindowKind Kind>
LUTRA_INLINE Vec pairs_step(Vec acc, Vec weight, Vec x) {
  if constexpr (Kind == WindowKind::kWeighted) return acc + weight * x;
  if constexpr (Kind == WindowKind::kSum) return acc + x;
  return max(x, acc);
}

template <WindowKind Kind, int Rows, int Vectors>
LUTRA_INLINE void store_pairs(const BlockWindow& window, int64_t row, int64_t column,
                              Vec (&acc)[Rows][Vectors]) {
  const int64_t out_w = window.window->out_w;
  const int64_t first = (row * out_w + column) * kChannelBlock;
  float* const y = window.y + first;
  const float* const add = window.add != nullptr ? window.add + first : nullptr;
  const Clamp bounds = window.clamp;
  const float* const row_scale = Kind == WindowKind::kSum ? window.row_scale + row : nullptr;
  const float* const column_scale = Kind == WindowKind::kSum ? window.column_scale + column : nullptr;
  const __mmask16 last = column + 2 * Vectors <= out_w ? kAllLanes : 0x00ff;
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const __mmask16 mask = v + 1 < Vectors ? kAllLanes : last;
      const int64_t offset = (r * out_w + 2 * v) * kChannelBlock;
      Vec value = acc[r][v];
      if constexpr (Kind == WindowKind::kWeighted) {
        if (add != nullptr) value += (Vec)_mm512_maskz_loadu_ps(mask, add + offset);
        value = clamp(value, bounds);
      }
      if constexpr (Kind == WindowKind::kSum) value *= row_scale[r] * pair_scale(column_scale + 2 * v, mask);
      _mm512_mask_storeu_ps(y + offset, mask, (__m512)value);
    }
}

template <WindowKind Kind, int Rows, int Vectors>
LUTRA_INLINE void store_pairs(const QuantisedWindow& window, int64_t row, int64_t column,
                              const Vec (&acc)[Rows][Vectors]) {
  const int64_t out_w = window.window->out_w;
  const int64_t first = (row * out_w + column) * kChannelBlock;
  uint8_t* const y = window.y + first;
  const uint8_t* const add = window.add != nullptr ? window.add + first : nullptr;
  const Requantisation to = window.requantisation;
  const VecInt bias = both(window.bias);
  const Vec multiplier = both(window.multiplier);
  const __mmask16 last = column + 2 * Vectors <= out_w ? kAllLanes : 0x00ff;
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const __mmask16 mask = v + 1 < Vectors ? kAllLanes : last;
      const int64_t offset = (r * out_w + 2 * v) * kChannelBlock;
      Vec value = to_floats(__builtin_convertvector(acc[r][v], VecInt) + bias) * multiplier;
      if (add != nullptr)  // else the clamp limits it
        value = limited(value) + second_operand((VecByte)_mm_maskz_loadu_epi8(mask, add + offset), to);
      _mm_mask_storeu_epi8(y + offset, mask, (__m128i)narrowed(rounded(value, to)));
    }
}

// Keeps a weight in its register: compilers would read it again at every use, and loads are what is scarce.
LUTRA_INLINE Vec held(Vec weight) {
  asm("" : "+v"(weight));
  return weight;
}

// What the padding adds to sums, or compares to maxima.
template <WindowKind Kind>
constexpr float kNothing = Kind == WindowKind::kMax ? -__builtin_inff() : 0.0F;

template <WindowKind Kind>
LUTRA_INLINE Vec load_pair(const BlockWindow&, const float* x, __mmask16 mask) {
  if constexpr (Kind == WindowKind::kMax)
    return (Vec)_mm512_mask_loadu_ps((__m512)splat(kNothing<Kind>), mask, x);
  return (Vec)_mm512_maskz_loadu_ps(mask, x);
}

template <WindowKind Kind>
LUTRA_INLINE Vec load_pair(const QuantisedWindow& window, const uint8_t* x, __mmask16 mask) {
  const VecInt value = to_ints((VecByte)_mm_maskz_loadu_epi8(mask, x)) - window.x_zero;
  return (Vec)_mm512_maskz_cvtepi32_ps(mask, (__m512i)value);
}

// What holds for all tiles of a block of channels.
template <WindowKind Kind, int Kernel, class Pixel>
struct PairsBlock {
  Vec weights[Kernel * Kernel];
  Pixel padding[kMostPairs * kLanes];  // a row of it, as long as what one tile reads
};

LUTRA_INLINE Vec pairs_start(const BlockWindow& window) { return both(window.bias); }
LUTRA_INLINE Vec pairs_start(const QuantisedWindow&) { return Vec{}; }  // the bias is a whole number

template <WindowKind Kind>
LUTRA_INLINE float padding_pixel(const BlockWindow&) {
  return kNothing<Kind>;
}
template <WindowKind Kind>
LUTRA_INLINE uint8_t padding_pixel(const QuantisedWindow& window) {
  return static_cast<uint8_t>(window.x_zero);
}

template <class Window>
using PixelOf = std::remove_const_t<std::remove_pointer_t<decltype(Window::x)>>;

// Adds what input row `input` of the tile, whose pairs these are, gives to each output row that it serves.
// `weight(tap)` is a vector.
template <WindowKind Kind, int Kernel, int Stride, int Odd, int Rows, int Vectors, class Weight>
LUTRA_INLINE void add_pairs(int input, const Vec* pairs, const Weight& weight, Vec (&acc)[Rows][Vectors]) {
#pragma GCC unroll 8
  for (int kw = 0; kw < Kernel; ++kw) {
    Vec values[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) values[v] = tap_pair<Stride>(pairs + v * Stride, kw + Odd);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const int kh = input - r * Stride;
      if (kh < 0 || kh >= Kernel) continue;
      const Vec factor = weight(kh * Kernel + kw);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[r][v] = pairs_step<Kind>(acc[r][v], factor, values[v]);
    }
  }
}

// Rows x (two times Vectors) pixels from (row, column) on.
template <class Window, WindowKind Kind, int Kernel, int Stride, int Odd, int Rows, int Vectors>
void pairs_tile(const Window& window, const PairsBlock<Kind, Kernel, PixelOf<Window>>& block, int64_t row,
                int64_t column) {
  constexpr bool kHoldsAll = Kind == WindowKind::kWeighted && Kernel == 3;
  constexpr int kPairs = pairs_reached(Kernel, Stride, Odd, Vectors);
  const Window2d& w = *window.window;
  Vec all[kHoldsAll ? Kernel * Kernel : 1];
  if constexpr (kHoldsAll)
#pragma GCC unroll 16
    for (int tap = 0; tap < Kernel * Kernel; ++tap) all[tap] = held(block.weights[tap]);
  const auto weight = [&](int tap) {
    if constexpr (kHoldsAll) return all[tap];
    return Kind == WindowKind::kWeighted ? held(block.weights[tap]) : Vec{};
  };
  const int64_t top = row * Stride - w.pad_top;
  const int64_t first = column * Stride - w.pad_left - Odd;
  __mmask16 masks[kPairs];
  pair_masks(first, w.in_w, masks);
  const Vec start = Kind == WindowKind::kWeighted ? pairs_start(window) : splat(kNothing<Kind>);
  Vec acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[r][v] = start;
#pragma GCC unroll 16
  for (int input = 0; input < (Rows - 1) * Stride + Kernel; ++input) {
    const int64_t ih = top + input;
    const bool inside = ih >= 0 && ih < w.in_h;
    const auto* x = inside ? window.x + (ih * w.in_w + first) * kChannelBlock : block.padding;
    Vec pairs[kPairs];
#pragma GCC unroll 16
    for (int i = 0; i < kPairs; ++i) pairs[i] = load_pair<Kind>(window, x + i * kLanes, masks[i]);
    add_pairs<Kind, Kernel, Stride, Odd>(input, pairs, weight, acc);
  }
  store_pairs<Kind, Rows, Vectors>(window, row, column, acc);
}

template <class Window, WindowKind Kind, int Kernel>
using PairsFunction = void (*)(const Window&, const PairsBlock<Kind, Kernel, PixelOf<Window>>&, int64_t row,
                               int64_t column);

// Functions for 1 to kPairRows rows of 1 to kPairVectors vectors.
template <class Window, WindowKind Kind, int Kernel, int Stride, int Odd, int... Index>
constexpr std::array<PairsFunction<Window, Kind, Kernel>, sizeof...(Index)> pairs_functions(
    std::integer_sequence<int, Index...>) {
  return {
      &pairs_tile<Window, Kind, Kernel, Stride, Odd, Index / kPairVectors + 1, Index % kPairVectors + 1>...};
}

template <class Window, WindowKind Kind, int Kernel, int Stride, int Odd>
void block_pairs(const Window& window) {
  static constexpr auto kFunctions = pairs_functions<Window, Kind, Kernel, Stride, Odd>(
      std::make_integer_sequence<int, kPairRows * kPairVectors>{});
  const Window2d& w = *window.window;
  PairsBlock<Kind, Kernel, PixelOf<Window>> block;
  if constexpr (Kind == WindowKind::kWeighted)
    for (int tap = 0; tap < Kernel * Kernel; ++tap)
      block.weights[tap] = both(window.weights + tap * kChannelBlock);
  for (auto& pixel : block.padding) pixel = padding_pixel<Kind>(window);
  const RowPanels bands(w.out_h, kPairRows);
  const RowPanels runs((w.out_w + 1) / 2, kPairVectors);
  for (int64_t band = 0; band < bands.count; ++band) {
    const auto* const functions = &kFunctions[static_cast<size_t>((bands.height(band) - 1) * kPairVectors)];
    for (int64_t run = 0; run < runs.count; ++run)
      functions[runs.height(run) - 1](window, block, bands.start(band), 2 * runs.start(run));
  }
}

template <class Window>
using PairsWindow = void (*)(const Window&);

template <class Window, WindowKind Kind, int Kernel, int Odd>
LUTRA_INLINE PairsWindow<Window> pairs_with_stride(int64_t stride) {
  if (stride == 1) return &block_pairs<Window, Kind, Kernel, 1, Odd>;
  return stride == 2 ? &block_pairs<Window, Kind, Kernel, 2, Odd> : nullptr;
}

// The function for this window, or nullptr where there is none. Padding is usually half the window.
template <class Window, WindowKind Kind>
LUTRA_INLINE PairsWindow<Window> pairs_for(const Window2d& w) {
  const bool square = w.kernel_h == w.kernel_w && w.stride_h == w.stride_w;
  if (!square || w.dilation_h != 1 || w.dilation_w != 1) return nullptr;
  const bool odd = w.pad_left % 2 == 1;
  if (w.kernel_w == 3)
    return odd ? pairs_with_stride<Window, Kind, 3, 1>(w.stride_w)
               : pairs_with_stride<Window, Kind, 3, 0>(w.stride_w);
  if constexpr (Kind == WindowKind::kWeighted) {
    if (w.kernel_w == 5 && !odd) return pairs_with_stride<Window, Kind, 5, 0>(w.stride_w);
    if (w.kernel_w == 7 && odd) return pairs_with_stride<Window, Kind, 7, 1>(w.stride_w);
  }
  return nullptr;
}

}  // namespace lutra::cpu::LUTRA_ISA
