// Fully connected layer: one requantisation for the whole tensor, two filters at a time.
#include "widen.h"

INLINE int8_t finish_tensor(const struct lutra_op* op, int32_t sum) {
  const int32_t scaled = requantise(sum, op->output_multiplier, op->output_shift) + op->output_offset;
  return (int8_t)clamp(scaled, op->activation_min, op->activation_max);
}

INLINE void dot_two(const struct lutra_op* op, const int8_t* filter, int32_t sums[2]) {
  const int8_t *x = op->input, *f0 = filter, *f1 = filter + op->in_c;
  const int32_t offset = op->input_offset;
  int32_t depth = op->in_c, s0 = sums[0], s1 = sums[1];
#if LUTRA_DSP
  const uint32_t offsets = both_halves(offset);
  for (int32_t quads = depth >> 2; quads > 0; --quads) {
    const uint32_t bytes = load_word(x), bytes0 = load_word(f0), bytes1 = load_word(f1);
    const uint32_t even = (uint32_t)__sxtab16(offsets, bytes);
    const uint32_t odd = (uint32_t)__sxtab16(offsets, rotate_right(bytes, 8));
    s0 = __smlad(even, even_bytes(bytes0), s0);
    s0 = __smlad(odd, odd_bytes(bytes0), s0);
    s1 = __smlad(even, even_bytes(bytes1), s1);
    s1 = __smlad(odd, odd_bytes(bytes1), s1);
    x += 4, f0 += 4, f1 += 4;
  }
  depth &= 3;
#endif
  for (; depth > 0; --depth) {
    const int32_t value = *x++ + offset;
    s0 += value * *f0++;
    s1 += value * *f1++;
  }
  sums[0] = s0, sums[1] = s1;
}

KERNEL(fully_connected) {
  const int32_t depth = op->in_c, out_c = op->out_c;
  const int8_t* filter = op->weights;
  int32_t c = 0;
  for (; c + 1 < out_c; c += 2) {
    int32_t sums[2] = {op->bias[c], op->bias[c + 1]};
    dot_two(op, filter, sums);
    op->output[c] = finish_tensor(op, sums[0]);
    op->output[c + 1] = finish_tensor(op, sums[1]);
    filter += 2 * depth;
  }
  if (c < out_c) {
    int32_t sum = op->bias[c];
    for (int32_t k = 0; k < depth; ++k) sum += (op->input[k] + op->input_offset) * filter[k];
    op->output[c] = finish_tensor(op, sum);
  }
  return 0;
}
