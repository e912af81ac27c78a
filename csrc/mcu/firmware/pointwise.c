// 1x1 convolution with a stride of one: the input is the matrix, so that no column is gathered. A block of
// two filters and two pixels at a time; the input offset goes into the bias, as bias + offset * sum(filter).
#include "arithmetic.h"
#include "block.h"

INLINE int32_t sum_of(const int8_t* filter, int32_t depth) {
  int32_t sum = 0;
  for (; depth > 0; --depth) sum += *filter++;
  return sum;
}

INLINE int32_t dot_pixel(const int8_t* filter, const int8_t* pixel, int32_t depth, int32_t bias) {
  int32_t sum = bias;
  for (; depth > 0; --depth) sum += *filter++ * *pixel++;
  return sum;
}

INLINE int32_t folded_bias(const struct lutra_op* op, const int8_t* filter, int32_t channel) {
  return op->bias[channel] + op->input_offset * sum_of(filter, op->in_c);
}

// Output channels c and c + 1 of all pixels.
INLINE void two_filters(const struct lutra_op* op, const int8_t* filter, int32_t c, int32_t pixels) {
  const int32_t depth = op->in_c, out_c = op->out_c;
  const int32_t biases[2] = {folded_bias(op, filter, c), folded_bias(op, filter + depth, c + 1)};
  const int8_t* input = op->input;
  int8_t* output = op->output;
  for (int32_t pairs = pixels >> 1; pairs > 0; --pairs) {
    block_of_pixels(filter, input, depth, c, op, biases, output, output + out_c);
    input += 2 * depth;
    output += 2 * out_c;
  }
  if (pixels & 1) {
    output[c] = finish(op, dot_pixel(filter, input, depth, biases[0]), c);
    output[c + 1] = finish(op, dot_pixel(filter + depth, input, depth, biases[1]), c + 1);
  }
}

KERNEL(pointwise) {
  const int32_t depth = op->in_c, out_c = op->out_c, pixels = op->out_h * op->out_w;
  const int8_t* filter = op->weights;
  int32_t c = 0;
  for (; c + 1 < out_c; c += 2) {
    two_filters(op, filter, c, pixels);
    filter += 2 * depth;
  }
  if (c < out_c) {
    const int32_t bias = folded_bias(op, filter, c);
    const int8_t* input = op->input;
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
      op->output[pixel * out_c + c] = finish(op, dot_pixel(filter, input, depth, bias), c);
      input += depth;
    }
  }
  return 0;
}
