// Convolutions whose patches are gathered row by row instead of tap by tap: kernel_w * in_c neighbouring
// bytes.
//
// conv2d_first is for the first layer of a network, whose few channels make rows that are no multiple of
// four: its filters are widened to int16 once, and both sides padded with zeros to a multiple of four.
// conv2d_3x3 is for 3x3.
#include "matmul.h"

// Row `row` of the patch whose left column is `left`; outside is zero.
INLINE void gather_row(const struct lutra_op* op, int32_t row, int32_t left, int32_t kernel_w,
                       int16_t* target) {
  const int32_t channels = op->in_c, before = left < 0 ? -left : 0;
  const int32_t beyond = left + kernel_w - op->in_w, after = beyond > 0 ? beyond : 0;
  const int32_t within = kernel_w - before - after;
  if (row < 0 || row >= op->in_h || within <= 0) {
    clear(target, kernel_w * channels);
    return;
  }
  if (before) clear(target, before * channels);
  const int8_t* source = op->input + (row * op->in_w + left + before) * channels;
  widen(source, target + before * channels, within * channels, op->input_offset);
  if (after) clear(target + (before + within) * channels, after * channels);
}

INLINE void gather_rows(const struct lutra_op* op, int32_t y, int32_t x, int32_t kernel_h, int32_t kernel_w,
                        int16_t* column) {
  const int32_t top = y * op->stride_h - op->pad_top, left = x * op->stride_w - op->pad_left;
  for (int32_t row = top; row < top + kernel_h; ++row, column += kernel_w * op->in_c)
    gather_row(op, row, left, kernel_w, column);
}

KERNEL(conv2d_3x3) {
  const struct filters filters = {op->weights, op->out_c, 9 * op->in_c, 0};
  int16_t* const columns = op->scratch;
  int8_t* pixel = op->output;
  int32_t waiting = 0;
  for (int32_t y = 0; y < op->out_h; ++y) {
    for (int32_t x = 0; x < op->out_w; ++x) {
      gather_rows(op, y, x, 3, 3, columns + waiting * filters.depth);
      if (++waiting == 2) {
        multiply_two_columns(op, &filters, columns, pixel);
        pixel += 2 * op->out_c;
        waiting = 0;
      }
    }
  }
  if (waiting) multiply_column(op, &filters, columns, pixel);
  return 0;
}

// Filters of `depth` int8 to int16 of `padded`.
INLINE void widen_filters(const struct lutra_op* op, int32_t depth, int32_t padded, int16_t* target) {
  const int8_t* source = op->weights;
  for (int32_t c = 0; c < op->out_c; ++c, source += depth, target += padded) {
    widen(source, target, depth, 0);
    clear(target + depth, padded - depth);
  }
}

INLINE int32_t dot_wide(const int16_t* filter, const int16_t* column, int32_t depth, int32_t bias) {
  int32_t sum = bias;
  for (; depth > 0; --depth) sum += *filter++ * *column++;
  return sum;
}

// All filters times two columns.
INLINE void multiply_wide(const struct lutra_op* op, const int16_t* filters, const int16_t* columns,
                          int32_t depth, int8_t* first, int8_t* second) {
  int32_t c = 0;
  for (; c + 1 < op->out_c; c += 2, filters += 2 * depth)
    block_of_wide(filters, columns, depth, c, op, first, second);
  if (c < op->out_c) {
    first[c] = finish(op, dot_wide(filters, columns, depth, op->bias[c]), c);
    second[c] = finish(op, dot_wide(filters, columns + depth, depth, op->bias[c]), c);
  }
}

// Scratch: two columns, then the filters.
KERNEL(conv2d_first) {
  const int32_t depth = op->kernel_h * op->kernel_w * op->in_c, padded = (depth + 3) & ~3;
  int16_t *const columns = op->scratch, *const filters = columns + 2 * padded;
  int8_t* pixel = op->output;
  int32_t waiting = 0;
  clear(columns, 2 * padded);
  widen_filters(op, depth, padded, filters);
  for (int32_t y = 0; y < op->out_h; ++y) {
    for (int32_t x = 0; x < op->out_w; ++x) {
      gather_rows(op, y, x, op->kernel_h, op->kernel_w, columns + waiting * padded);
      if (++waiting == 2) {
        multiply_wide(op, filters, columns, padded, pixel, pixel + op->out_c);
        pixel += 2 * op->out_c;
        waiting = 0;
      }
    }
  }
  if (waiting) {  // an odd last pixel, computed twice
    __builtin_memcpy(columns + padded, columns, 2 * (uint32_t)padded);
    multiply_wide(op, filters, columns, padded, pixel, pixel);
  }
  return 0;
}
