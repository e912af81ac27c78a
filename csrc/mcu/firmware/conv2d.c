// Convolution of any shape: each pixel's patch is gathered tap by tap into a column of int16 (im2col), and
// two columns are multiplied with all filters. Filters are [out_c, kernel_h, kernel_w, in_c / groups].
#include "matmul.h"

// The patch under output pixel (y, x), channels [channel, channel + count) of each tap; outside is zero.
INLINE void gather_patch(const struct lutra_op* op, int32_t y, int32_t x, int32_t channel, int32_t count,
                         int16_t* column) {
  const int32_t top = y * op->stride_h - op->pad_top, left = x * op->stride_w - op->pad_left;
  const int32_t width = op->in_w, height = op->in_h, pixel_bytes = op->in_c, offset = op->input_offset;
  for (int32_t row = top; row < top + op->kernel_h; ++row) {
    for (int32_t col = left; col < left + op->kernel_w; ++col) {
      if (row < 0 || row >= height || col < 0 || col >= width) {
        clear(column, count);
      } else {
        widen(op->input + (row * width + col) * pixel_bytes + channel, column, count, offset);
      }
      column += count;
    }
  }
}

// The filters of one group over the whole input.
INLINE void convolve(const struct lutra_op* op, const struct filters* filters, int32_t channel,
                     int32_t count) {
  int16_t* const columns = op->scratch;
  int8_t* pixel = op->output;
  int32_t waiting = 0;  // columns gathered and not yet multiplied
  for (int32_t y = 0; y < op->out_h; ++y) {
    for (int32_t x = 0; x < op->out_w; ++x) {
      gather_patch(op, y, x, channel, count, columns + waiting * filters->depth);
      if (++waiting == 2) {
        multiply_two_columns(op, filters, columns, pixel);
        pixel += 2 * op->out_c;
        waiting = 0;
      }
    }
  }
  if (waiting) multiply_column(op, filters, columns, pixel);
}

KERNEL(conv2d) {
  const struct filters filters = {op->weights, op->out_c, op->kernel_h * op->kernel_w * op->in_c, 0};
  convolve(op, &filters, 0, op->in_c);
  return 0;
}

KERNEL(grouped_conv2d) {
  const int32_t in_count = op->in_c / op->groups, out_count = op->out_c / op->groups;
  const int32_t depth = op->kernel_h * op->kernel_w * in_count;
  for (int32_t group = 0; group < op->groups; ++group) {
    const int32_t first = group * out_count;
    const struct filters filters = {(const int8_t*)op->weights + first * depth, out_count, depth, first};
    convolve(op, &filters, group * in_count, in_count);
  }
  return 0;
}
