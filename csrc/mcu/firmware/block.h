// Blocks of two filters times two pixels: four sums share each load, and the outputs of both are finished
// together. The depth is the number of products in a sum. Outputs are channels `channel` and `channel + 1` of
// two pixels.
//
// Functions of their own, called once for each block: their loops need every register that the core has, and
// lose a fifth of their speed where the compiler mixes them with the code around them.
#ifndef LUTRA_MCU_FIRMWARE_BLOCK_H
#define LUTRA_MCU_FIRMWARE_BLOCK_H

#include "lutra_op.h"

// filters: two rows of `depth` int8, one after the other; columns: two of `depth` int16, one after the other.
void block_of_columns(const int8_t* filters, const int16_t* columns, int32_t depth, int32_t channel,
                      const struct lutra_op* op, int8_t* first, int8_t* second);

// The same of int16 filters, with a depth that is a multiple of four.
void block_of_wide(const int16_t* filters, const int16_t* columns, int32_t depth, int32_t channel,
                   const struct lutra_op* op, int8_t* first, int8_t* second);

// The same of int8 pixels as they lie in the input; the biases hold what the input offset adds.
void block_of_pixels(const int8_t* filters, const int8_t* pixels, int32_t depth, int32_t channel,
                     const struct lutra_op* op, const int32_t biases[2], int8_t* first, int8_t* second);

// One filter times one column.
int32_t dot(const int8_t* filter, const int16_t* column, int32_t depth, int32_t bias);

#endif
