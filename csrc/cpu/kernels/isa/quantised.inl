// 8-bit numbers: widened, narrowed, added. Everything between is exact in float32 or rounded once, by the
// rule of `Requantisation`.

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

static void requantise_block(const QuantisedBlock& given) {
  const QuantisedBlock block = given;
  int32_t bias[kLanes + kChannelBlock];  // repeated, for vectors that begin anywhere or hold two pixels
  float multiplier[kLanes + kChannelBlock];
  for (int64_t i = 0; i < kLanes + kChannelBlock; ++i) {
    bias[i] = block.bias[i % kChannelBlock];
    multiplier[i] = block.multiplier[i % kChannelBlock];
  }
  const int64_t count = block.pixels * kChannelBlock;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const VecInt sum = __builtin_convertvector(load_first(block.sums + i, left), VecInt);
    const int64_t channel = i % kChannelBlock;
    Vec value = to_floats(sum + load_ints(bias + channel)) * load(multiplier + channel);
    if (block.add != nullptr)  // else the clamp limits it
      value = limited(value) + second_operand(load_first(block.add + i, left), block.requantisation);
    store_bytes(block.y + i, narrowed(rounded(value, block.requantisation)), left);
  }
}

static void widen(const uint8_t* x, int32_t zero, int16_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<int16_t>(x[i] - zero);
}

static void widen_to_float(const uint8_t* x, int32_t zero, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - zero);
}

static void quantise(const float* x, float multiplier, const Requantisation& given, uint8_t* y,
                     int64_t count) {
  const Requantisation to = given;
  for (int64_t i = 0; i < count; i += kLanes)
    store_bytes(y + i, narrowed(rounded(load_first(x + i, count - i) * multiplier, to)), count - i);
}

static void dequantise(const uint8_t* x, Quantisation from, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - from.zero) * from.scale;
}

static void add_quantised(const uint8_t* a, int32_t a_zero, float multiplier, const uint8_t* b,
                          const Requantisation& given, uint8_t* y, int64_t count) {
  const Requantisation to = given;
  for (int64_t i = 0; i < count; i += kLanes) {
    const VecInt left = to_ints(load_first(a + i, count - i)) - a_zero;
    const Vec value =
        limited(to_floats(left) * multiplier) + second_operand(load_first(b + i, count - i), to);
    store_bytes(y + i, narrowed(rounded(value, to)), count - i);
  }
}

}  // namespace lutra::cpu::LUTRA_ISA
