// Requantisation, bit for bit as TensorFlow Lite's MultiplyByQuantizedMultiplier with two roundings.
#ifndef LUTRA_MCU_FIRMWARE_ARITHMETIC_H
#define LUTRA_MCU_FIRMWARE_ARITHMETIC_H

#include "lutra_op.h"

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
// Names the section that the linker script keeps.
#define KERNEL(kind) \
  __attribute__((used, section(".text.lutra_" #kind))) int32_t lutra_##kind(const struct lutra_op* op)

// round(value * multiplier / 2^31), halves upwards; multiplier is positive, so that the product cannot
// saturate.
INLINE int32_t rounding_doubling_high(int32_t value, int32_t multiplier) {
  return (int32_t)(((int64_t)value * multiplier + (1LL << 30)) >> 31);
}

// round(value / 2^exponent), halves away from zero; |value| < 2^30 where the exponent is not zero.
INLINE int32_t rounding_shift_right(int32_t value, int32_t exponent) {
  const int32_t half = (int32_t)((1u << exponent) >> 1);
  const int32_t one_below_zero = exponent ? value >> 31 : 0;
  return (value + half + one_below_zero) >> exponent;
}

INLINE int32_t requantise(int32_t value, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return rounding_shift_right(rounding_doubling_high((int32_t)((uint32_t)value << left), multiplier), right);
}

INLINE int32_t clamp(int32_t value, int32_t low, int32_t high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

// The int8 output of an accumulator of output channel `channel`.
INLINE int8_t finish(const struct lutra_op* op, int32_t sum, int32_t channel) {
  const int32_t scaled = requantise(sum, op->multiplier[channel], op->shift[channel]) + op->output_offset;
  return (int8_t)clamp(scaled, op->activation_min, op->activation_max);
}

// The outputs of a block of two filters and two pixels: sums are [filter][pixel]. Fields are read once, since
// the compiler has to assume that an output overwrites them.
INLINE void finish_block(const struct lutra_op* op, const int32_t sums[4], int32_t channel, int8_t* first,
                         int8_t* second) {
  const int32_t offset = op->output_offset, low = op->activation_min, high = op->activation_max;
  const int32_t *multipliers = op->multiplier + channel, *shifts = op->shift + channel;
  const int32_t multiplier0 = multipliers[0], multiplier1 = multipliers[1], shift0 = shifts[0],
                shift1 = shifts[1];
  const int32_t s0 = clamp(requantise(sums[0], multiplier0, shift0) + offset, low, high);
  const int32_t s1 = clamp(requantise(sums[1], multiplier0, shift0) + offset, low, high);
  const int32_t s2 = clamp(requantise(sums[2], multiplier1, shift1) + offset, low, high);
  const int32_t s3 = clamp(requantise(sums[3], multiplier1, shift1) + offset, low, high);
  first[channel] = (int8_t)s0;
  first[channel + 1] = (int8_t)s2;
  second[channel] = (int8_t)s1;
  second[channel + 1] = (int8_t)s3;
}

#endif
