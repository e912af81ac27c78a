// Filters times the columns that im2col gathers, requantised into the output.
#ifndef LUTRA_MCU_FIRMWARE_MATMUL_H
#define LUTRA_MCU_FIRMWARE_MATMUL_H

#include "block.h"
#include "widen.h"

// `count` filters of `depth` int8 each, the first of which makes output channel `channel`.
struct filters {
  const int8_t* weights;
  int32_t count, depth, channel;
};

// Two columns make two pixels of the output, op->out_c apart.
void multiply_two_columns(const struct lutra_op* op, const struct filters* filters, const int16_t* columns,
                          int8_t* pixel);

void multiply_column(const struct lutra_op* op, const struct filters* filters, const int16_t* column,
                     int8_t* pixel);

#endif
