// Vectors of LUTRA_LANES floats, in the compiler's own vector extension. No include guard: compiled once per
// instruction set, each time inside another namespace.

#define LUTRA_INLINE [[gnu::always_inline]] static inline

namespace lutra::cpu::LUTRA_ISA {

using Vec = float __attribute__((vector_size(LUTRA_LANES * 4)));
using VecInt = int32_t __attribute__((vector_size(LUTRA_LANES * 4)));
constexpr int64_t kLanes = LUTRA_LANES;

LUTRA_INLINE Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

LUTRA_INLINE void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }

// Copies fewer than kLanes floats in powers of two: a call of memcpy would cost more than the copy.
LUTRA_INLINE void copy_partial(const float* from, float* to, int64_t count) {
#pragma GCC unroll 4
  for (int64_t part = kLanes / 2; part > 0; part /= 2) {
    if ((count & part) == 0) continue;
    __builtin_memcpy(to, from, static_cast<size_t>(part) * sizeof(float));
    from += part;
    to += part;
  }
}

LUTRA_INLINE Vec load_partial(const float* p, int64_t count, float filler = 0.0F) {
  float lanes[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) lanes[i] = filler;
  copy_partial(p, lanes, count);
  return load(lanes);
}

LUTRA_INLINE void store_partial(float* p, Vec v, int64_t count) {
  float lanes[kLanes];
  store(lanes, v);
  copy_partial(lanes, p, count);
}

// x - 0 is x for every float, so this is a broadcast and nothing else; 0 + x would not be (for -0).
LUTRA_INLINE Vec splat(float x) { return x - Vec{}; }

LUTRA_INLINE Vec min(Vec a, Vec b) { return a < b ? a : b; }
LUTRA_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }
LUTRA_INLINE Vec clamp(Vec x, Clamp bounds) { return min(max(x, splat(bounds.low)), splat(bounds.high)); }

LUTRA_INLINE VecInt bits(Vec v) {
  VecInt result;
  __builtin_memcpy(&result, &v, sizeof v);
  return result;
}

LUTRA_INLINE Vec from_bits(VecInt v) {
  Vec result;
  __builtin_memcpy(&result, &v, sizeof v);
  return result;
}

LUTRA_INLINE float sum_lanes(Vec v) {
  float total = 0.0F;
  for (int64_t i = 0; i < kLanes; ++i) total += v[i];
  return total;
}

LUTRA_INLINE float max_lane(Vec v) {
  float best = v[0];
  for (int64_t i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

}  // namespace lutra::cpu::LUTRA_ISA
