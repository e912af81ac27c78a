// Reductions over a row, and what is built from them: normalisation and softmax.

namespace lutra::cpu::LUTRA_ISA {

// Four independent partial results hide the latency of the additions.
template <class Function>
LUTRA_INLINE float reduce_sum(const float* x, int64_t count, Function function) {
  Vec acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) acc[j] += function(load(x + i + j * kLanes));
  for (; i + kLanes <= count; i += kLanes) acc[0] += function(load(x + i));
  float total = sum_lanes((acc[0] + acc[1]) + (acc[2] + acc[3]));
  if (i < count) {
    const Vec last = function(load_partial(x + i, count - i));
    for (int64_t lane = 0; lane < count - i; ++lane) total += last[lane];
  }
  return total;
}

static float sum(const float* x, int64_t count) {
  return reduce_sum(x, count, [=](Vec v) { return v; });
}

static float squared_deviation(const float* x, float mean, int64_t count) {
  return reduce_sum(x, count, [=](Vec v) {
    const Vec d = v - mean;
    return d * d;
  });
}

static void normalise(const float* x, float mean, float inverse_deviation, const float* scale,
                      const float* shift, float* y, int64_t count) {
  map(x, y, count, [=](Vec v) { return (v - mean) * inverse_deviation; });
  if (scale) combine<true, true>(y, scale, y, count, [=](Vec l, Vec r) { return l * r; });
  if (shift) combine<true, true>(y, shift, y, count, [=](Vec l, Vec r) { return l + r; });
}

LUTRA_INLINE float row_max(const float* x, int64_t count) {
  Vec best = splat(-__builtin_inff());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) best = max(load(x + i), best);
  if (i < count) best = max(load_partial(x + i, count - i, -__builtin_inff()), best);
  return max_lane(best);
}

static float largest(const float* x, int64_t count) { return row_max(x, count); }

static void softmax_row(const float* x, float scale, float* y, int64_t count) {
  // The largest of scale * x is taken at the largest or, for a negative scale, the smallest x: scale first.
  map(x, y, count, [=](Vec v) { return v * scale; });
  const float highest = row_max(y, count);
  map(y, y, count, [=](Vec v) { return exp(v - highest); });
  affine(y, 1.0F / sum(y, count), 0.0F, y, count);
}

static void softmax_columns(const float* x, int64_t length, int64_t inner, float* y, float* scratch) {
  float* const highest = scratch;
  float* const total = scratch + inner;
  __builtin_memcpy(highest, x, static_cast<size_t>(inner) * sizeof(float));
  for (int64_t row = 1; row < length; ++row)
    combine<true, true>(highest, x + row * inner, highest, inner, [=](Vec l, Vec r) { return max(l, r); });
  for (int64_t row = 0; row < length; ++row) {
    float* const out = y + row * inner;
    combine<true, true>(x + row * inner, highest, out, inner, [=](Vec l, Vec r) { return exp(l - r); });
    if (row == 0)
      __builtin_memcpy(total, out, static_cast<size_t>(inner) * sizeof(float));
    else
      accumulate(out, total, inner);
  }
  for (int64_t row = 0; row < length; ++row)
    combine<true, true>(y + row * inner, total, y + row * inner, inner, [=](Vec l, Vec r) { return l / r; });
}

}  // namespace lutra::cpu::LUTRA_ISA
