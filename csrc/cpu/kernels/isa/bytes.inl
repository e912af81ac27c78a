// Vectors of 8-bit numbers: widened, narrowed, rounded. Everything between is exact in float32 or rounded
// once, by the rule of `Requantisation`.

namespace lutra::cpu::LUTRA_ISA {

using VecByte = uint8_t __attribute__((vector_size(LUTRA_LANES)));

LUTRA_INLINE VecInt load_ints(const int32_t* p) {
  VecInt v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

LUTRA_INLINE Vec to_floats(VecInt v) { return __builtin_convertvector(v, Vec); }

// Compilers convert bytes one by one where they are not told how.
LUTRA_INLINE VecInt to_ints(VecByte v) {
#ifdef LUTRA_WIDEN_BYTES
  __m128i bytes{};
  __builtin_memcpy(&bytes, &v, sizeof v);
  return (VecInt)LUTRA_WIDEN_BYTES(bytes);
#else
  return __builtin_convertvector(v, VecInt);
#endif
}

// `v` holds 0 to 255.
LUTRA_INLINE VecByte narrowed(VecInt v) {
#ifdef LUTRA_PACK_BYTES
  const __m128i bytes = LUTRA_PACK_BYTES(v);
  VecByte result;
  __builtin_memcpy(&result, &bytes, sizeof result);
  return result;
#else
  return __builtin_convertvector(v, VecByte);
#endif
}

LUTRA_INLINE Vec limited(Vec x) { return clamp(x, Clamp{-kLargestScaled, kLargestScaled}); }

// `sum` is scaled already. Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low
// bits.
LUTRA_INLINE VecInt rounded(Vec sum, const Requantisation& to) {
  constexpr float kRounder = 12582912.0F;
  return bits(clamp(sum, to.clamp) + kRounder) - bits(splat(kRounder)) + to.zero;
}

LUTRA_INLINE Vec second_operand(VecByte b, const Requantisation& to) {
  return limited(to_floats(to_ints(b) - to.b_zero) * to.b_multiplier);
}

// Calls step(i, lanes) for every whole vector of `count` elements, and for the rest. The compiler knows the
// lanes of a whole one, so that its loop has no calls and keeps everything in registers.
template <class Step>
LUTRA_INLINE void for_each_vector(int64_t count, const Step& step) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) step(i, std::integral_constant<int64_t, kLanes>{});
  if (i < count) step(i, count - i);
}

// The first `count` of kLanes bytes.
LUTRA_INLINE void store_bytes(uint8_t* y, VecByte v, int64_t count) {
  if (count >= kLanes)
    __builtin_memcpy(y, &v, sizeof v);
  else
    __builtin_memcpy(y, &v, static_cast<size_t>(count));
}

// The first `count` of kLanes elements; zeros behind them.
template <class T>
LUTRA_INLINE auto load_first(const T* p, int64_t count) {
  T __attribute__((vector_size(LUTRA_LANES * sizeof(T)))) v{};
  if (count >= kLanes)
    __builtin_memcpy(&v, p, sizeof v);
  else
    __builtin_memcpy(&v, p, static_cast<size_t>(count) * sizeof(T));
  return v;
}

}  // namespace lutra::cpu::LUTRA_ISA
