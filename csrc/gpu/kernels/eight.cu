// Numbers of 8 bits: into them, out of them, and what follows a product whose sums are int32.

/// e4m3 to the nearest, ties to even; what is too large becomes the largest, 448 (Micikevicius et al., 2022).
LUTRA_DEVICE unsigned char float8_of(float value) {
  const unsigned bits = lutra_float_bits(value);
  const unsigned sign = (bits >> 24) & 0x80u;
  const float magnitude = lutra_bits_float(bits & 0x7fffffffu);
  if (!(magnitude == magnitude)) return static_cast<unsigned char>(sign | 0x7fu);
  if (magnitude >= 448.0f) return static_cast<unsigned char>(sign | 0x7eu);
  if (magnitude < 0.015625f) return static_cast<unsigned char>(sign | static_cast<unsigned>(rintf(magnitude * 512.0f)));
  const unsigned own = lutra_float_bits(magnitude);
  const unsigned rounded = own + 0x7ffffu + ((own >> 20) & 1u);
  return static_cast<unsigned char>(sign | ((rounded >> 20) - (120u << 3)));
}

LUTRA_KERNEL(quantise)(const Element* x, signed char* y, unsigned count) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) y[i] = int8_of(widen(x[i]));
}

LUTRA_KERNEL(quantise_float8)(const Element* x, unsigned char* y, unsigned count) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) y[i] = float8_of(widen(x[i]));
}

LUTRA_KERNEL(dequantise)(const signed char* x, Element* y, unsigned count) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) y[i] = narrow(float_of_int8(x[i]));
}

/// y = activation(factor * sums + bias + residual), where bias and residual may be absent; row-major, `channels` wide.
LUTRA_KERNEL(requantise)(const int* sums, Element* y, const Vector* bias, const Element* residual, unsigned count,
                         unsigned channels, float factor, int function, float a, float b) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    float value = static_cast<float>(sums[i]) * factor;
    if (bias) value += widen_vector(bias[i % channels]);
    if (residual) value += widen(residual[i]);
    y[i] = narrow(unary_of(function, value, a, b));
  }
}
