// Windows over images: pooling and depthwise convolution, a thread for each output, in either layout.

/// An image, its windows and their output; csrc/gpu/functions.hpp has the same.
struct Window {
  unsigned batch, channels, height, width;  // of what is read
  unsigned out_channels, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
  int top, left, bottom, right;  // padding
  int channels_last;
};

/// Where one output lies.
struct Place {
  unsigned n, c, row, column;
};

LUTRA_DEVICE Place place_of(unsigned i, const Window& w) {
  Place place;
  if (w.channels_last) {
    place.c = i % w.out_channels;
    i /= w.out_channels;
  }
  place.column = i % w.out_width;
  i /= w.out_width;
  place.row = i % w.out_height;
  i /= w.out_height;
  if (!w.channels_last) {
    place.c = i % w.out_channels;
    i /= w.out_channels;
  }
  place.n = i;
  return place;
}

LUTRA_DEVICE unsigned long long offset_of(const Window& w, unsigned n, unsigned c, int row, int column) {
  if (w.channels_last) return ((static_cast<unsigned long long>(n) * w.height + row) * w.width + column) * w.channels + c;
  return ((static_cast<unsigned long long>(n) * w.channels + c) * w.height + row) * w.width + column;
}

enum Pooling { kMaxPool, kMeanOfImage, kMeanWithPadding, kAdaptive };

LUTRA_KERNEL(pool)(const Element* x, Element* y, unsigned count, Window w, int pooling) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    const Place at = place_of(i, w);
    const int height = static_cast<int>(w.height);
    const int width = static_cast<int>(w.width);
    int row_begin = static_cast<int>(at.row) * w.stride_height - w.top;
    int column_begin = static_cast<int>(at.column) * w.stride_width - w.left;
    int row_end = row_begin + w.kernel_height;
    int column_end = column_begin + w.kernel_width;
    if (pooling == kAdaptive) {
      row_begin = static_cast<int>(at.row * w.height / w.out_height);
      row_end = static_cast<int>(((at.row + 1) * w.height + w.out_height - 1) / w.out_height);
      column_begin = static_cast<int>(at.column * w.width / w.out_width);
      column_end = static_cast<int>(((at.column + 1) * w.width + w.out_width - 1) / w.out_width);
    }
    // What sticks out of the padding does not count.
    row_end = row_end < height + w.bottom ? row_end : height + w.bottom;
    column_end = column_end < width + w.right ? column_end : width + w.right;
    const int padded = (row_end - row_begin) * (column_end - column_begin);
    row_begin = row_begin > 0 ? row_begin : 0;
    column_begin = column_begin > 0 ? column_begin : 0;
    row_end = row_end < height ? row_end : height;
    column_end = column_end < width ? column_end : width;
    float result = pooling == kMaxPool ? -3.4028235e38f : 0.0f;
    for (int row = row_begin; row < row_end; ++row)
      for (int column = column_begin; column < column_end; ++column) {
        const float value = widen(x[offset_of(w, at.n, at.c, row, column)]);
        result = pooling == kMaxPool ? fmaxf(result, value) : result + value;
      }
    const int inside = (row_end - row_begin) * (column_end - column_begin);
    if (pooling != kMaxPool) result /= static_cast<float>(pooling == kMeanWithPadding ? padded : inside);
    y[i] = narrow(result);
  }
}

/// Each output channel reads one input channel. Filters are out_channels x taps; channels last they are
/// taps x out_channels, so that neighbouring threads read neighbouring numbers.
LUTRA_KERNEL(depthwise)(const Element* x, const Element* filters, const Vector* bias, const Element* residual,
                        Element* y, unsigned count, Window w, int function, float a, float b) {
  const int taps = w.kernel_height * w.kernel_width;
  const unsigned multiplier = w.out_channels / w.channels;
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    const Place at = place_of(i, w);
    const unsigned from = at.c / multiplier;
    float sum = bias ? widen_vector(bias[at.c]) : 0.0f;
    const int first_row = static_cast<int>(at.row) * w.stride_height - w.top;
    const int first_column = static_cast<int>(at.column) * w.stride_width - w.left;
    for (int i_row = 0; i_row < w.kernel_height; ++i_row) {
      const int row = first_row + i_row * w.dilation_height;
      if (row < 0 || row >= static_cast<int>(w.height)) continue;
      for (int i_column = 0; i_column < w.kernel_width; ++i_column) {
        const int column = first_column + i_column * w.dilation_width;
        if (column < 0 || column >= static_cast<int>(w.width)) continue;
        const int tap = i_row * w.kernel_width + i_column;
        const Element filter = filters[w.channels_last ? static_cast<unsigned>(tap) * w.out_channels + at.c
                                                       : at.c * static_cast<unsigned>(taps) + static_cast<unsigned>(tap)];
        sum += widen(x[offset_of(w, at.n, from, row, column)]) * widen_filter(filter);
      }
    }
    if (residual) sum += widen(residual[i]);
    y[i] = narrow(unary_of(function, sum, a, b));
  }
}
