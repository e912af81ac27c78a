#include "block.h"

#include "widen.h"

// Products one at a time: what is left of the depth, or all of it on cores without the DSP extension.
#define ACCUMULATE_ONES(x0, x1)                                   \
  for (; depth > 0; --depth) {                                    \
    const int32_t a = *f0++, b = *f1++, x = *(x0)++, y = *(x1)++; \
    s00 += a * x;                                                 \
    s01 += a * y;                                                 \
    s10 += b * x;                                                 \
    s11 += b * y;                                                 \
  }

// Not inlined: with the operands of the requantisation in registers, two of its pointers would be on the
// stack.
NOINLINE void dot_columns(const int8_t* filters, const int16_t* columns, int32_t depth, int32_t sums[4]) {
  const int8_t *f0 = filters, *f1 = filters + depth;
  const int16_t *c0 = columns, *c1 = columns + depth;
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
#if LUTRA_DSP
  for (const int8_t* end = f0 + (depth & ~3); f0 != end; f0 += 4, f1 += 4, c0 += 4, c1 += 4) {
    const uint32_t bytes0 = load_word(f0), bytes1 = load_word(f1);
    const uint32_t even0 = even_bytes(bytes0), odd0 = odd_bytes(bytes0);
    const uint32_t low0 = bottoms(even0, odd0), high0 = tops(even0, odd0);
    const uint32_t even1 = even_bytes(bytes1), odd1 = odd_bytes(bytes1);
    const uint32_t low1 = bottoms(even1, odd1), high1 = tops(even1, odd1);
    uint32_t x = load_word(c0);
    s00 = __smlad(low0, x, s00);
    s10 = __smlad(low1, x, s10);
    x = load_word(c1);
    s01 = __smlad(low0, x, s01);
    s11 = __smlad(low1, x, s11);
    x = load_word(c0 + 2);
    s00 = __smlad(high0, x, s00);
    s10 = __smlad(high1, x, s10);
    x = load_word(c1 + 2);
    s01 = __smlad(high0, x, s01);
    s11 = __smlad(high1, x, s11);
  }
  depth &= 3;
#endif
  ACCUMULATE_ONES(c0, c1);
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}

int32_t dot(const int8_t* filter, const int16_t* column, int32_t depth, int32_t bias) {
  int32_t sum = bias;
#if LUTRA_DSP
  for (int32_t quads = depth >> 2; quads > 0; --quads) {
    const uint32_t bytes = load_word(filter);
    const uint32_t even = even_bytes(bytes), odd = odd_bytes(bytes);
    sum = __smlad(bottoms(even, odd), load_word(column), sum);
    sum = __smlad(tops(even, odd), load_word(column + 2), sum);
    filter += 4;
    column += 4;
  }
  depth &= 3;
#endif
  for (; depth > 0; --depth) sum += *filter++ * *column++;
  return sum;
}

INLINE void dot_wide(const int16_t* filters, const int16_t* columns, int32_t depth, int32_t sums[4]) {
  const int16_t *f0 = filters, *f1 = filters + depth, *c0 = columns, *c1 = columns + depth;
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
#if LUTRA_DSP
  for (; depth > 0; depth -= 4) {
    uint32_t a = load_word(f0), b = load_word(f1), x = load_word(c0), y = load_word(c1);
    s00 = __smlad(a, x, s00);
    s01 = __smlad(a, y, s01);
    s10 = __smlad(b, x, s10);
    s11 = __smlad(b, y, s11);
    a = load_word(f0 + 2), b = load_word(f1 + 2), x = load_word(c0 + 2), y = load_word(c1 + 2);
    s00 = __smlad(a, x, s00);
    s01 = __smlad(a, y, s01);
    s10 = __smlad(b, x, s10);
    s11 = __smlad(b, y, s11);
    f0 += 4, f1 += 4, c0 += 4, c1 += 4;
  }
#else
  ACCUMULATE_ONES(c0, c1);
#endif
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}

#if LUTRA_DSP

// Four products for each of the sums of dot_pixels, `at` bytes behind its pointers.
#define ACCUMULATE_FOUR(at)                                                                  \
  do {                                                                                       \
    const uint32_t bytes0 = load_word(f0 + (at)), bytes1 = load_word(f1 + (at));             \
    const uint32_t even0 = even_bytes(bytes0), odd0 = odd_bytes(bytes0);                     \
    const uint32_t even1 = even_bytes(bytes1), odd1 = odd_bytes(bytes1);                     \
    uint32_t bytes = load_word(p0 + (at)), even = even_bytes(bytes), odd = odd_bytes(bytes); \
    s00 = __smlad(even, even0, s00);                                                         \
    s10 = __smlad(even, even1, s10);                                                         \
    s00 = __smlad(odd, odd0, s00);                                                           \
    s10 = __smlad(odd, odd1, s10);                                                           \
    SETTLE(s00, s01, s10, s11);                                                              \
    bytes = load_word(p1 + (at)), even = even_bytes(bytes), odd = odd_bytes(bytes);          \
    s01 = __smlad(even, even0, s01);                                                         \
    s11 = __smlad(even, even1, s11);                                                         \
    s01 = __smlad(odd, odd0, s01);                                                           \
    s11 = __smlad(odd, odd1, s11);                                                           \
    SETTLE(s00, s01, s10, s11);                                                              \
  } while (0)

#endif

INLINE void dot_pixels(const int8_t* filters, const int8_t* pixels, int32_t depth, int32_t sums[4]) {
  const int8_t *f0 = filters, *f1 = filters + depth, *p0 = pixels, *p1 = pixels + depth;
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
#if LUTRA_DSP
  for (const int8_t* end = f0 + (depth & ~15); f0 != end; f0 += 16, f1 += 16, p0 += 16, p1 += 16) {
    KEEP_IN_REGISTER(f0);
    KEEP_IN_REGISTER(f1);
    KEEP_IN_REGISTER(p0);
    KEEP_IN_REGISTER(p1);
    ACCUMULATE_FOUR(0);
    ACCUMULATE_FOUR(4);
    ACCUMULATE_FOUR(8);
    ACCUMULATE_FOUR(12);
  }
  for (const int8_t* end = f0 + (depth & 12); f0 != end; f0 += 4, f1 += 4, p0 += 4, p1 += 4)
    ACCUMULATE_FOUR(0);
  depth &= 3;
#endif
  ACCUMULATE_ONES(p0, p1);
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}

void block_of_columns(const int8_t* filters, const int16_t* columns, int32_t depth, int32_t channel,
                      const struct lutra_op* op, int8_t* first, int8_t* second) {
  const int32_t* bias = op->bias + channel;
  int32_t sums[4] = {bias[0], bias[0], bias[1], bias[1]};
  dot_columns(filters, columns, depth, sums);
  finish_block(op, sums, channel, first, second);
}

void block_of_wide(const int16_t* filters, const int16_t* columns, int32_t depth, int32_t channel,
                   const struct lutra_op* op, int8_t* first, int8_t* second) {
  const int32_t* bias = op->bias + channel;
  int32_t sums[4] = {bias[0], bias[0], bias[1], bias[1]};
  dot_wide(filters, columns, depth, sums);
  finish_block(op, sums, channel, first, second);
}

void block_of_pixels(const int8_t* filters, const int8_t* pixels, int32_t depth, int32_t channel,
                     const struct lutra_op* op, const int32_t biases[2], int8_t* first, int8_t* second) {
  int32_t sums[4] = {biases[0], biases[0], biases[1], biases[1]};
  dot_pixels(filters, pixels, depth, sums);
  finish_block(op, sums, channel, first, second);
}
