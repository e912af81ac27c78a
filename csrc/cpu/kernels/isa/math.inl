// Vector forms of exp, tanh and erf. Ranges and polynomials follow the Cephes library (exp, tanh) and
// Abramowitz & Stegun 7.1.26 (erf). Largest errors against double precision: exp 2e-7 relative, tanh 2e-7 and
// erf 3e-7 absolute.

namespace lutra::cpu::LUTRA_ISA {

LUTRA_INLINE Vec exp(Vec x) {
  constexpr float kLowest = -87.3F;        // exp of less is subnormal
  constexpr float kHighest = 88.37F;       // exp of more overflows
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = min(max(x, splat(kLowest)), splat(kHighest));
  const Vec shifted = x * 1.44269504089F + kRounder;
  const Vec n = shifted - kRounder;
  Vec r = x - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  Vec p = splat(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const VecInt power = (bits(shifted) - bits(splat(kRounder)) + 127) << 23;
  return p * from_bits(power);
}

LUTRA_INLINE Vec absolute(Vec x) { return from_bits(bits(x) & 0x7fffffff); }

LUTRA_INLINE Vec with_sign_of(Vec magnitude, Vec sign) {
  return from_bits(bits(magnitude) | (bits(sign) & static_cast<int32_t>(0x80000000U)));
}

LUTRA_INLINE Vec tanh(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec far = with_sign_of(1.0F - 2.0F / (exp(magnitude + magnitude) + 1.0F), x);
  const Vec z = x * x;
  Vec p = splat(-5.70498872745e-3F);
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const Vec near = p * z * x + x;
  return magnitude < 0.625F ? near : far;
}

LUTRA_INLINE Vec erf(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec t = 1.0F / (magnitude * 0.3275911F + 1.0F);
  Vec p = splat(1.061405429F);
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  return with_sign_of(1.0F - p * t * exp(-magnitude * magnitude), x);
}

LUTRA_INLINE Vec square_root(Vec x) {
  for (int64_t i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

// By the library's own function, lane by lane: it is right for every base and exponent, and rare in networks.
LUTRA_INLINE Vec power(Vec base, Vec exponent) {
  for (int64_t i = 0; i < kLanes; ++i) base[i] = __builtin_powf(base[i], exponent[i]);
  return base;
}

LUTRA_INLINE Vec sigmoid(Vec x) { return 1.0F / (exp(-x) + 1.0F); }

LUTRA_INLINE Vec hard_sigmoid(Vec x) { return clamp(x + 3.0F, Clamp{0.0F, 6.0F}) * (1.0F / 6.0F); }

LUTRA_INLINE Vec gelu_tanh(Vec x) {
  const Vec inner = 0.797884560803F * (x + 0.044715F * x * x * x);
  return 0.5F * x * (1.0F + tanh(inner));
}

}  // namespace lutra::cpu::LUTRA_ISA
