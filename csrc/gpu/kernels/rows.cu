// Rows that are read as a whole: softmax, norms, reductions. A row has blockDim.x threads, a block blockDim.y rows.

#define LUTRA_ROW (blockIdx.x * blockDim.y + threadIdx.y)

/// Softmax over `length` elements that lie `inner` apart. With `queries` > 0 it is that of attention: scores are
/// scaled, a mask is added (its strides by batch, head, query and key), and with `causal` a query sees no later key.
struct Attention {
  float scale;
  int causal;
  unsigned queries, heads;
  long long by_batch, by_head, by_query, by_key;
};

LUTRA_DEVICE float score_of(float value, const Element* mask, const Attention& attention, unsigned row, unsigned key) {
  if (attention.queries == 0) return value;
  const unsigned query = row % attention.queries;
  value *= attention.scale;
  if (attention.causal && key > query) return -3.4028235e38f;
  if (!mask) return value;
  const unsigned head = row / attention.queries % attention.heads;
  const unsigned batch = row / attention.queries / attention.heads;
  return value + widen(mask[batch * attention.by_batch + head * attention.by_head + query * attention.by_query +
                            key * attention.by_key]);
}

LUTRA_KERNEL(softmax)(const Element* x, Element* y, const Element* mask, unsigned rows, unsigned length,
                      unsigned inner, Attention attention) {
  const unsigned row = LUTRA_ROW;
  const bool inside = row < rows;  // every thread takes part in the reductions
  const unsigned long long start =
      inside ? static_cast<unsigned long long>(row / inner) * length * inner + row % inner : 0;
  float highest = reduction_start(kMax);
  if (inside)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x)
      highest = fmaxf(highest, score_of(widen(x[start + static_cast<unsigned long long>(i) * inner]), mask, attention, row, i));
  highest = reduce_row(highest, kMax);
  float sum = 0.0f;
  if (inside)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x)
      sum += expf(score_of(widen(x[start + static_cast<unsigned long long>(i) * inner]), mask, attention, row, i) - highest);
  sum = reduce_row(sum, kSum);
  if (inside)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x) {
      const unsigned long long at = start + static_cast<unsigned long long>(i) * inner;
      y[at] = narrow(expf(score_of(widen(x[at]), mask, attention, row, i) - highest) / sum);
    }
}

/// Rows of `length` elements brought to mean 0 (unless `root_mean_square`) and variance 1, then scaled and shifted:
/// element i of row r by number (r % groups) * (length / inner) + i / inner. A layer norm has one group and inner 1.
LUTRA_KERNEL(norm)(const Element* x, Element* y, const Element* gamma, const Element* beta, unsigned rows,
                   unsigned length, unsigned groups, unsigned inner, float eps, int root_mean_square) {
  const unsigned row = LUTRA_ROW;
  const bool inside = row < rows;
  const unsigned long long start = inside ? static_cast<unsigned long long>(row) * length : 0;
  const float count = static_cast<float>(length);
  float sum = 0.0f;
  if (inside && !root_mean_square)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x) sum += widen(x[start + i]);
  const float mean = reduce_row(sum, kSum) / count;
  float squares = 0.0f;
  if (inside)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x) {
      const float centred = widen(x[start + i]) - mean;
      squares += centred * centred;
    }
  const float scale = rsqrtf(reduce_row(squares, kSum) / count + eps);
  if (!inside) return;
  const unsigned first = row % groups * (length / inner);
  for (unsigned i = threadIdx.x; i < length; i += blockDim.x) {
    float value = (widen(x[start + i]) - mean) * scale;
    if (gamma) value *= widen(gamma[first + i / inner]);
    if (beta) value += widen(beta[first + i / inner]);
    y[start + i] = narrow(value);
  }
}

/// Sum or maximum over `length` neighbours, times `factor`; a row of threads for each.
LUTRA_KERNEL(reduce_rows)(const Element* x, Element* y, unsigned rows, unsigned length, int reduction, float factor) {
  const unsigned row = LUTRA_ROW;
  const bool inside = row < rows;
  float value = reduction_start(reduction);
  if (inside)
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x)
      value = reduced_of(reduction, value, widen(x[static_cast<unsigned long long>(row) * length + i]));
  value = reduce_row(value, reduction);
  if (inside && threadIdx.x == 0) y[row] = narrow(value * factor);
}

/// The same over elements that lie `inner` apart. Blocks of 32 x 8 threads: 32 neighbours, 8 parts of each sum.
LUTRA_KERNEL(reduce_strided)(const Element* x, Element* y, unsigned outer, unsigned length, unsigned inner,
                             int reduction, float factor) {
  LUTRA_SHARED float partial[8][32];
  const unsigned at = blockIdx.x * 32 + threadIdx.x;
  const unsigned o = blockIdx.y;
  float value = reduction_start(reduction);
  if (at < inner && o < outer)
    for (unsigned i = threadIdx.y; i < length; i += 8)
      value = reduced_of(reduction, value, widen(x[(static_cast<unsigned long long>(o) * length + i) * inner + at]));
  partial[threadIdx.y][threadIdx.x] = value;
  LUTRA_SYNC();
  if (threadIdx.y > 0 || at >= inner || o >= outer) return;
  for (unsigned part = 1; part < 8; ++part) value = reduced_of(reduction, value, partial[part][threadIdx.x]);
  y[static_cast<unsigned long long>(o) * inner + at] = narrow(value * factor);
}
