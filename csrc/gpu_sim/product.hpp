#pragma once

#include "gpu_sim/constants.hpp"
#include "gpu_sim/op.hpp"
#include "gpu_sim/parts.hpp"

namespace lutra::gpu_sim {

/// A matrix product as a kernel sees it. The bytes are those in memory: a convolution's input is smaller than
/// the matrix that is made of it.
struct Shape {
  double batch, m, n, k;
  double left_bytes, right_bytes, out_bytes;  ///< of one of the batch
};

Shape shape_of(const Product& product, Dtype dtype);

/// Parts of a product under one tile and split.
Parts product_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                    const Tile& tile, double split);

/// Parts under the tile and split that the library is taken to choose; 0 for either: to be chosen.
Parts chosen_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                   int tile = 0, int split = 0);

}  // namespace lutra::gpu_sim
