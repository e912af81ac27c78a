#include "matmul.h"

void multiply_two_columns(const struct lutra_op* op, const struct filters* filters, const int16_t* columns,
                          int8_t* pixel) {
  const int32_t depth = filters->depth, end = filters->channel + filters->count;
  const int8_t* weights = filters->weights;
  int8_t *first = pixel, *second = pixel + op->out_c;
  int32_t c = filters->channel;
  for (; c + 1 < end; c += 2) {
    block_of_columns(weights, columns, depth, c, op, first, second);
    weights += 2 * depth;
  }
  if (c < end) {
    first[c] = finish(op, dot(weights, columns, depth, op->bias[c]), c);
    second[c] = finish(op, dot(weights, columns + depth, depth, op->bias[c]), c);
  }
}

void multiply_column(const struct lutra_op* op, const struct filters* filters, const int16_t* column,
                     int8_t* pixel) {
  const int32_t depth = filters->depth, end = filters->channel + filters->count;
  const int8_t* weights = filters->weights;
  for (int32_t c = filters->channel; c < end; ++c) {
    pixel[c] = finish(op, dot(weights, column, depth, op->bias[c]), c);
    weights += depth;
  }
}
