// Sliding windows over a block of channels: depthwise convolution, sum and maximum. Channels fill the
// vectors, so that neither strides nor the ends of rows cost anything; windows that reach into the padding
// drop those taps.

namespace lutra::cpu::LUTRA_ISA {

constexpr int kPartLanes = kLanes < kChannelBlock ? kLanes : kChannelBlock;
constexpr int kParts = kChannelBlock / kPartLanes;  // vectors per block
constexpr int kBlockPixels = kParts == 1 ? 8 : 4;   // most pixels in registers at a time

using Part = float __attribute__((vector_size(kPartLanes * 4)));

LUTRA_INLINE Part load_part(const float* p) {
  Part v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// What one call computes: `Pixels` neighbours in one output row.
struct BlockPixels {
  const float* x;  // input of the first tap of the first pixel
  const float* weights;
  int64_t taps_h, taps_w;  // taps inside the image
  int64_t column;
  int64_t row;
};

template <WindowKind Kind>
LUTRA_INLINE Part block_start(const BlockWindow& window, int part) {
  if constexpr (Kind == WindowKind::kWeighted) return load_part(window.bias + part * kPartLanes);
  if constexpr (Kind == WindowKind::kSum) return Part{};
  return -__builtin_inff() - Part{};
}

template <WindowKind Kind>
LUTRA_INLINE Part block_step(Part acc, Part weight, Part x) {
  if constexpr (Kind == WindowKind::kWeighted) return acc + weight * x;
  if constexpr (Kind == WindowKind::kSum) return acc + x;
  return x > acc ? x : acc;
}

// Everything is read before the first store: the compiler cannot know that stores leave `window` alone.
template <WindowKind Kind, int Pixels>
LUTRA_INLINE void block_store(const BlockWindow& window, const BlockPixels& at, Part (&acc)[Pixels][kParts]) {
  const int64_t first = (at.row * window.window->out_w + at.column) * kChannelBlock;
  float* const y = window.y + first;
  const float* const add = window.add != nullptr ? window.add + first : nullptr;
  const Part low = window.clamp.low - Part{};
  const Part high = window.clamp.high - Part{};
  const float row_scale = Kind == WindowKind::kSum ? window.row_scale[at.row] : 1.0F;
  const float* const column_scale = Kind == WindowKind::kSum ? window.column_scale + at.column : nullptr;
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const int64_t offset = p * kChannelBlock + part * kPartLanes;
      Part value = acc[p][part];
      if constexpr (Kind == WindowKind::kWeighted) {
        if (add != nullptr) value += load_part(add + offset);
        value = value > low ? value : low;
        value = value < high ? value : high;
      }
      if constexpr (Kind == WindowKind::kSum) value *= row_scale * column_scale[p];
      __builtin_memcpy(y + offset, &value, sizeof value);
    }
}

// TapsW and Stride are 0 where they are not known in advance; where they are, taps lie side by side.
template <WindowKind Kind, int TapsW, int Stride, int Pixels>
void block_pixels(const BlockWindow& window, const BlockPixels& at) {
  const Window2d& w = *window.window;
  const int64_t taps_w = TapsW > 0 ? TapsW : at.taps_w;
  const int64_t tap_step = (TapsW > 0 ? 1 : w.dilation_w) * kChannelBlock;
  const int64_t pixel_step = (TapsW > 0 ? Stride : w.stride_w) * kChannelBlock;
  Part acc[Pixels][kParts];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) acc[p][part] = block_start<Kind>(window, part);
  const float* row = at.x;
  const float* weights = at.weights;
  for (int64_t kh = 0; kh < at.taps_h; ++kh) {
#pragma GCC unroll 8
    for (int64_t kw = 0; kw < taps_w; ++kw)
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) {
        Part weight{};
        if constexpr (Kind == WindowKind::kWeighted)
          weight = load_part(weights + kw * kChannelBlock + part * kPartLanes);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p)
          acc[p][part] = block_step<Kind>(
              acc[p][part], weight, load_part(row + kw * tap_step + p * pixel_step + part * kPartLanes));
      }
    row += w.dilation_h * w.in_w * kChannelBlock;
    if constexpr (Kind == WindowKind::kWeighted) weights += w.kernel_w * kChannelBlock;
  }
  block_store<Kind, Pixels>(window, at, acc);
}

// The taps of a window along one axis that lie inside the image.
struct TapRange {
  int64_t first;
  int64_t count;
};

// Divisions are as slow as the sums of a few pixels: there are none where nothing is dilated.
LUTRA_INLINE TapRange taps_inside(int64_t start, int64_t taps, int64_t dilation, int64_t size) {
  const auto steps = [=](int64_t pixels) {
    return dilation == 1 ? pixels : (pixels + dilation - 1) / dilation;
  };
  const int64_t first = start < 0 ? steps(-start) : 0;
  const int64_t end = start >= size ? 0 : steps(size - start);
  const int64_t last = end < taps ? end : taps;
  return {first, last > first ? last - first : 0};
}

using BlockFunction = void (*)(const BlockWindow&, const BlockPixels&);

template <WindowKind Kind, int TapsW, int Stride, int... Pixels>
constexpr std::array<BlockFunction, sizeof...(Pixels)> block_functions(
    std::integer_sequence<int, Pixels...>) {
  return {&block_pixels<Kind, TapsW, Stride, Pixels + 1>...};
}

// The pixels of output row `row` from `column` on, whose windows reach these taps.
template <WindowKind Kind>
LUTRA_INLINE BlockPixels block_pixels_at(const BlockWindow& window, int64_t row, int64_t column,
                                         TapRange taps_h, TapRange taps_w) {
  const Window2d& w = *window.window;
  const int64_t ih = row * w.stride_h - w.pad_top + taps_h.first * w.dilation_h;
  const int64_t iw = column * w.stride_w - w.pad_left + taps_w.first * w.dilation_w;
  BlockPixels at;
  at.x = window.x + (ih * w.in_w + iw) * kChannelBlock;
  at.weights = nullptr;
  if constexpr (Kind == WindowKind::kWeighted)
    at.weights = window.weights + (taps_h.first * w.kernel_w + taps_w.first) * kChannelBlock;
  at.taps_h = taps_h.count;
  at.taps_w = taps_w.count;
  at.column = column;
  at.row = row;
  return at;
}

// Pixels whose windows reach beyond the left or right edge, one by one.
template <WindowKind Kind>
LUTRA_INLINE void block_edge(const BlockWindow& window, int64_t row, TapRange taps_h, int64_t first,
                             int64_t end) {
  const Window2d& w = *window.window;
  for (int64_t column = first; column < end; ++column) {
    const TapRange taps_w = taps_inside(column * w.stride_w - w.pad_left, w.kernel_w, w.dilation_w, w.in_w);
    block_pixels<Kind, 0, 0, 1>(window, block_pixels_at<Kind>(window, row, column, taps_h, taps_w));
  }
}

template <WindowKind Kind, int TapsW, int Stride>
void block_rows(const BlockWindow& window) {
  static constexpr auto kFunctions =
      block_functions<Kind, TapsW, Stride>(std::make_integer_sequence<int, kBlockPixels>{});
  const Window2d& w = *window.window;
  // Columns [inner, outer) see the whole width of the window.
  const int64_t reach = (w.kernel_w - 1) * w.dilation_w - w.pad_left;
  int64_t inner = (w.pad_left + w.stride_w - 1) / w.stride_w;
  int64_t outer = w.in_w > reach ? (w.in_w - 1 - reach) / w.stride_w + 1 : 0;
  inner = inner < w.out_w ? inner : w.out_w;
  outer = outer < inner ? inner : (outer < w.out_w ? outer : w.out_w);
  const RowPanels runs(outer > inner ? outer - inner : 1, kBlockPixels);
  for (int64_t row = 0; row < w.out_h; ++row) {
    const TapRange taps_h = taps_inside(row * w.stride_h - w.pad_top, w.kernel_h, w.dilation_h, w.in_h);
    block_edge<Kind>(window, row, taps_h, 0, inner);
    for (int64_t i = 0; outer > inner && i < runs.count; ++i)
      kFunctions[static_cast<size_t>(runs.height(i) - 1)](
          window, block_pixels_at<Kind>(window, row, inner + runs.start(i), taps_h, {0, w.kernel_w}));
    block_edge<Kind>(window, row, taps_h, outer, w.out_w);
  }
}

template <WindowKind Kind>
void block_window(const BlockWindow& window) {
  const Window2d& w = *window.window;
#if LUTRA_PIXEL_PAIRS
  if (const auto pairs = pairs_for<BlockWindow, Kind>(w)) return pairs(window);
#endif
  if (w.dilation_w == 1 && w.kernel_w == 3 && w.stride_w == 1) return block_rows<Kind, 3, 1>(window);
  if (w.dilation_w == 1 && w.kernel_w == 3 && w.stride_w == 2) return block_rows<Kind, 3, 2>(window);
  if constexpr (Kind == WindowKind::kWeighted) {
    if (w.dilation_w == 1 && w.kernel_w == 5 && w.stride_w == 1) return block_rows<Kind, 5, 1>(window);
    if (w.dilation_w == 1 && w.kernel_w == 5 && w.stride_w == 2) return block_rows<Kind, 5, 2>(window);
    if (w.dilation_w == 1 && w.kernel_w == 7 && w.stride_w == 1) return block_rows<Kind, 7, 1>(window);
  }
  block_rows<Kind, 0, 0>(window);
}

static bool pads_freely([[maybe_unused]] const Window2d& window) {
#if LUTRA_PIXEL_PAIRS
  return pairs_for<BlockWindow, WindowKind::kWeighted>(window) != nullptr;
#else
  return false;
#endif
}

static bool block_quantised([[maybe_unused]] const QuantisedWindow& window) {
#if LUTRA_PIXEL_PAIRS
  if (const auto pairs = pairs_for<QuantisedWindow, WindowKind::kWeighted>(*window.window)) {
    pairs(window);
    return true;
  }
#endif
  return false;
}

}  // namespace lutra::cpu::LUTRA_ISA
