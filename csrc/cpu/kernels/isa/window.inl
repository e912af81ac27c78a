// Sliding windows over one channel: depthwise convolution, sum and maximum, vectorised over the output row.

namespace lutra::cpu::LUTRA_ISA {

enum class WindowKind { kWeighted, kSum, kMax };

template <WindowKind Kind>
LUTRA_INLINE Vec window_start(const WindowRows& window) {
  if constexpr (Kind == WindowKind::kWeighted) return splat(window.bias);
  if constexpr (Kind == WindowKind::kSum) return Vec{};
  return splat(-__builtin_inff());
}

template <WindowKind Kind>
LUTRA_INLINE Vec window_step(Vec acc, float weight, Vec x) {
  if constexpr (Kind == WindowKind::kWeighted) return acc + weight * x;
  if constexpr (Kind == WindowKind::kSum) return acc + x;
  return max(x, acc);
}

// `count` is the number of columns stored per vector: kLanes, except in rows narrower than a vector.
template <WindowKind Kind>
LUTRA_INLINE void window_store(const WindowRows& window, int64_t at, Vec value, int64_t count) {
  if (count == kLanes) {
    if constexpr (Kind == WindowKind::kWeighted) {
      if (window.add) value += load(window.add + at);
      value = clamp(value, window.clamp);
    }
    store(window.out + at, value);
    return;
  }
  if constexpr (Kind == WindowKind::kWeighted) {
    if (window.add) value += load_partial(window.add + at, count);
    value = clamp(value, window.clamp);
  }
  store_partial(window.out + at, value, count);
}

template <WindowKind Kind>
LUTRA_INLINE float window_weight(const WindowRows& window, int64_t tap) {
  return Kind == WindowKind::kWeighted ? window.weights[tap] : 0.0F;
}

// One tap after the other, whatever the geometry.
template <WindowKind Kind, int Rows, int Vectors>
LUTRA_INLINE void add_taps(const WindowRows& window, const float* source, const int64_t (&columns)[Vectors],
                           Vec (&acc)[Rows][Vectors]) {
  const float* rows[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) rows[r] = source + r * window.row_stride;
  const int64_t taps = window.kernel_h * window.kernel_w;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const float weight = window_weight<Kind>(window, tap);
    const int64_t offset = window.offsets[tap];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v)
        acc[r][v] = window_step<Kind>(acc[r][v], weight, load(rows[r] + (offset + columns[v])));
  }
}

// With output rows as far apart as kernel rows, an input row serves up to KernelRows output rows: it is
// loaded once.
template <WindowKind Kind, int Rows, int Vectors, int KernelRows>
LUTRA_INLINE void add_taps_shared(const WindowRows& window, const float* source,
                                  const int64_t (&columns)[Vectors], Vec (&acc)[Rows][Vectors]) {
  for (int64_t kw = 0; kw < window.kernel_w; ++kw) {
    float weights[KernelRows];
#pragma GCC unroll 8
    for (int kh = 0; kh < KernelRows; ++kh)
      weights[kh] = window_weight<Kind>(window, kh * window.kernel_w + kw);
    const float* row = source + window.offsets[kw];
#pragma GCC unroll 16
    for (int input = 0; input < Rows + KernelRows - 1; ++input, row += window.row_stride)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const Vec x = load(row + columns[v]);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r)
          if (input - r >= 0 && input - r < KernelRows)
            acc[r][v] = window_step<Kind>(acc[r][v], weights[input - r], x);
      }
  }
}

// Rows x Vectors vectors of output; vector v starts at column columns[v]. KernelRows is 0 for the general
// case.
template <WindowKind Kind, int Rows, int Vectors, int KernelRows>
LUTRA_INLINE void window_block(const WindowRows window, int64_t row, const int64_t (&columns)[Vectors],
                               int64_t count) {
  Vec acc[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) acc[r][v] = window_start<Kind>(window);
  const float* source = window.source + row * window.row_stride;
  if constexpr (KernelRows == 0)
    add_taps<Kind, Rows, Vectors>(window, source, columns, acc);
  else
    add_taps_shared<Kind, Rows, Vectors, KernelRows>(window, source, columns, acc);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      window_store<Kind>(window, (row + r) * window.columns + columns[v], acc[r][v], count);
}

// The last vector of a row is moved left until it fits: some columns are computed twice, none past the end.
template <WindowKind Kind, int KernelRows, int Rows>
void window_band(const WindowRows& window, int64_t row) {
  const int64_t last = window.columns - kLanes;
  if (last < 0) {
    window_block<Kind, Rows, 1, KernelRows>(window, row, {0}, window.columns);
    return;
  }
  int64_t column = 0;
  for (; column + kLanes < window.columns; column += 2 * kLanes) {
    const int64_t second = column + kLanes < last ? column + kLanes : last;
    window_block<Kind, Rows, 2, KernelRows>(window, row, {column, second}, kLanes);
  }
  if (column < window.columns) window_block<Kind, Rows, 1, KernelRows>(window, row, {last}, kLanes);
}

template <WindowKind Kind, int KernelRows>
void window_bands(const WindowRows& window) {
  using Band = void (*)(const WindowRows&, int64_t);
  constexpr std::array<Band, 4> kBands{&window_band<Kind, KernelRows, 1>, &window_band<Kind, KernelRows, 2>,
                                       &window_band<Kind, KernelRows, 3>, &window_band<Kind, KernelRows, 4>};
  const RowPanels bands(window.rows, kBands.size());
  for (int64_t band = 0; band < bands.count; ++band)
    kBands[static_cast<size_t>(bands.height(band) - 1)](window, bands.start(band));
}

// Pooling windows are hardly ever larger than 3 x 3: only convolutions have forms for more.
template <WindowKind Kind>
void window_rows(const WindowRows& window) {
  const bool shared = window.row_stride == window.kernel_stride;
  if (shared && window.kernel_h == 3) return window_bands<Kind, 3>(window);
  if constexpr (Kind == WindowKind::kWeighted) {
    if (shared && window.kernel_h == 5) return window_bands<Kind, 5>(window);
    if (shared && window.kernel_h == 7) return window_bands<Kind, 7>(window);
  }
  window_bands<Kind, 0>(window);
}

}  // namespace lutra::cpu::LUTRA_ISA
