#pragma once

#include <cstdint>

namespace lutra::cpu {

/// Batches of `channels` planes of `pixels`, plain (N x C x pixels) or in blocks (N x C/8 x pixels x 8).
struct ReorderShape {
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t pixels = 1;
};

/// Plain to blocks; the padding of the last block becomes zeros.
void to_blocks(const ReorderShape& shape, const float* x, float* y);
void to_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y);
/// Blocks to plain; the padding is dropped.
void from_blocks(const ReorderShape& shape, const float* x, float* y);
void from_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y);

}  // namespace lutra::cpu
