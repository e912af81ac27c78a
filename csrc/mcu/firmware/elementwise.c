// Addition of two tensors and functions of one by table.
#include "arithmetic.h"

// Bits by which both summands are shifted up before they are scaled, as TensorFlow Lite's int8 ADD.
#define ADD_LEFT_SHIFT 20

KERNEL(add) {
  const int32_t count = op->out_h * op->out_w * op->out_c;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t a = (op->input[i] + op->input_offset) << ADD_LEFT_SHIFT;
    const int32_t b = (op->input2[i] + op->input2_offset) << ADD_LEFT_SHIFT;
    const int32_t sum = requantise(a, op->input_multiplier, op->input_shift) +
                        requantise(b, op->input2_multiplier, op->input2_shift);
    const int32_t scaled = requantise(sum, op->output_multiplier, op->output_shift) + op->output_offset;
    op->output[i] = (int8_t)clamp(scaled, op->activation_min, op->activation_max);
  }
  return 0;
}

// output = table[input + 128]: relu, relu6, hard-swish, sigmoid or any other function of one int8.
KERNEL(table) {
  const int32_t count = op->in_h * op->in_w * op->in_c;
  const int8_t* entries = (const int8_t*)op->weights + 128;
  for (int32_t i = 0; i < count; ++i) op->output[i] = entries[op->input[i]];
  return 0;
}
