// Elements that go elsewhere: transposes, slices, concatenation, padding, channel shuffle, layouts, embeddings.

/// y[second] = x[first] for every index of `axes`. One of the two is dense in the order of the axes, mostly y.
LUTRA_KERNEL(copy_strided)(const Element* x, Element* y, unsigned count, Axes axes) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    unsigned rest = i;
    long long from = 0;
    long long to = 0;
#pragma unroll
    for (int axis = 5; axis >= 0; --axis) {
      const unsigned index = rest % axes.size[axis];
      rest /= axes.size[axis];
      from += index * axes.first[axis];
      to += index * axes.second[axis];
    }
    y[to] = x[from];
  }
}

/// Matrices of rows x columns, each turned into columns x rows. Blocks of 32 x 8 threads take tiles of 32 x 32.
LUTRA_KERNEL(transpose_tiles)(const Element* x, Element* y, unsigned rows, unsigned columns) {
  LUTRA_SHARED Element tile[32][33];  // the odd width keeps columns in different banks
  const unsigned long long matrix = static_cast<unsigned long long>(blockIdx.z) * rows * columns;
  for (unsigned step = threadIdx.y; step < 32; step += 8) {
    const unsigned row = blockIdx.y * 32 + step;
    const unsigned column = blockIdx.x * 32 + threadIdx.x;
    if (row < rows && column < columns)
      tile[step][threadIdx.x] = x[matrix + static_cast<unsigned long long>(row) * columns + column];
  }
  LUTRA_SYNC();
  for (unsigned step = threadIdx.y; step < 32; step += 8) {
    const unsigned row = blockIdx.y * 32 + threadIdx.x;
    const unsigned column = blockIdx.x * 32 + step;
    if (row < rows && column < columns)
      y[matrix + static_cast<unsigned long long>(column) * rows + row] = tile[threadIdx.x][step];
  }
}

LUTRA_KERNEL(fill)(Element* y, unsigned count, float value) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) y[i] = narrow(value);
}

/// Rows of a table by their numbers.
LUTRA_KERNEL(embedding)(const long long* index, const Element* table, Element* y, unsigned count, unsigned length) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS)
    y[i] = table[index[i / length] * length + i % length];
}

/// An image resized with half-pixel centres (bilinear) or by the nearest element before (nearest).
LUTRA_KERNEL(upsample)(const Element* x, Element* y, unsigned batch, unsigned channels, unsigned height,
                       unsigned width, unsigned out_height, unsigned out_width, int bilinear, int channels_last) {
  const unsigned count = batch * channels * out_height * out_width;
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    unsigned rest = i;
    unsigned c = 0;
    if (channels_last) {
      c = rest % channels;
      rest /= channels;
    }
    const unsigned column = rest % out_width;
    rest /= out_width;
    const unsigned row = rest % out_height;
    rest /= out_height;
    if (!channels_last) {
      c = rest % channels;
      rest /= channels;
    }
    const unsigned n = rest;
    const unsigned step = channels_last ? channels : 1;
    const unsigned plane = channels_last ? n * height * width * channels + c : (n * channels + c) * height * width;
    if (!bilinear) {
      const unsigned from_row = static_cast<unsigned>(static_cast<unsigned long long>(row) * height / out_height);
      const unsigned from_column = static_cast<unsigned>(static_cast<unsigned long long>(column) * width / out_width);
      y[i] = x[plane + (from_row * width + from_column) * step];
      continue;
    }
    const float at_row =
        fmaxf((static_cast<float>(row) + 0.5f) * static_cast<float>(height) / static_cast<float>(out_height) - 0.5f, 0.0f);
    const float at_column =
        fmaxf((static_cast<float>(column) + 0.5f) * static_cast<float>(width) / static_cast<float>(out_width) - 0.5f, 0.0f);
    const unsigned top = static_cast<unsigned>(at_row);
    const unsigned left = static_cast<unsigned>(at_column);
    const unsigned bottom = top + 1 < height ? top + 1 : top;
    const unsigned right = left + 1 < width ? left + 1 : left;
    const float down = at_row - static_cast<float>(top);
    const float along = at_column - static_cast<float>(left);
    const float upper = widen(x[plane + (top * width + left) * step]) * (1.0f - along) +
                        widen(x[plane + (top * width + right) * step]) * along;
    const float lower = widen(x[plane + (bottom * width + left) * step]) * (1.0f - along) +
                        widen(x[plane + (bottom * width + right) * step]) * along;
    y[i] = narrow(upper * (1.0f - down) + lower * down);
  }
}
