// Softmax over the channels of each pixel, and the mean over the pixels of each channel.
#include "arithmetic.h"

// weights[d] = round(2^20 * exp(-beta * scale * d)) for d = 0..255. The output has scale 1/256, zero point
// -128.
KERNEL(softmax) {
  const uint32_t* exponentials = op->weights;
  const int32_t channels = op->in_c;
  const int8_t* input = op->input;
  int8_t* output = op->output;
  for (int32_t pixels = op->in_h * op->in_w; pixels > 0; --pixels, input += channels, output += channels) {
    int32_t largest = -128;
    for (int32_t c = 0; c < channels; ++c) largest = input[c] > largest ? input[c] : largest;
    uint32_t sum = 0;
    for (int32_t c = 0; c < channels; ++c) sum += exponentials[largest - input[c]];
    for (int32_t c = 0; c < channels; ++c) {
      const uint32_t share = ((exponentials[largest - input[c]] << 8) + sum / 2) / sum;
      output[c] = (int8_t)((share > 255 ? 255 : (int32_t)share) - 128);
    }
  }
  return 0;
}

// The multiplier holds 1 / (in_h * in_w) beside the scales.
KERNEL(mean) {
  const int32_t channels = op->in_c, pixels = op->in_h * op->in_w;
  for (int32_t c = 0; c < channels; ++c) {
    const int8_t* input = op->input + c;
    int32_t sum = pixels * op->input_offset;
    for (int32_t pixel = 0; pixel < pixels; ++pixel, input += channels) sum += *input;
    const int32_t scaled = requantise(sum, op->output_multiplier, op->output_shift) + op->output_offset;
    op->output[c] = (int8_t)clamp(scaled, op->activation_min, op->activation_max);
  }
  return 0;
}
