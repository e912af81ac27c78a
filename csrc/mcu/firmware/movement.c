// Ops that only move bytes.
#include "arithmetic.h"

// One input of a concatenation of channels: its pixels into slices of the output, which is `output` onwards.
KERNEL(concat) {
  const int8_t* source = op->input;
  int8_t* target = op->output;
  for (int32_t pixels = op->in_h * op->in_w; pixels > 0; --pixels) {
    __builtin_memcpy(target, source, (uint32_t)op->in_c);
    source += op->in_c;
    target += op->out_c;
  }
  return 0;
}

// Channel j of group i goes to channel j * groups + i.
KERNEL(channel_shuffle) {
  const int32_t groups = op->groups, size = op->in_c / groups;
  const int8_t* source = op->input;
  int8_t* target = op->output;
  for (int32_t pixels = op->in_h * op->in_w; pixels > 0; --pixels, target += op->in_c) {
    for (int32_t group = 0; group < groups; ++group)
      for (int32_t j = 0; j < size; ++j) target[j * groups + group] = *source++;
  }
  return 0;
}

// Rows, columns and channels of the zero point around the input, which starts at (pad_top, pad_left, channel
// 0).
KERNEL(pad) {
  const int32_t row_bytes = op->out_w * op->out_c;
  const int8_t* source = op->input;
  __builtin_memset(op->output, -op->input_offset, (uint32_t)(op->out_h * row_bytes));
  for (int32_t y = 0; y < op->in_h; ++y) {
    int8_t* target = op->output + (y + op->pad_top) * row_bytes + op->pad_left * op->out_c;
    for (int32_t x = 0; x < op->in_w; ++x) {
      __builtin_memcpy(target, source, (uint32_t)op->in_c);
      source += op->in_c;
      target += op->out_c;
    }
  }
  return 0;
}
