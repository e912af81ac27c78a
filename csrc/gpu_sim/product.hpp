#pragma once

#include <span>

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

/// Time, ns, that the busiest multiprocessor takes for its share of `blocks`, each of `cycles`, a residency
/// at once.
double waves_ns(const Device& device, const ProductConstants& constants, const Tile& tile, double blocks,
                double cycles);

/// Share of the issue slots that is left for the multiply-adds of a tile (Device::shared_issue).
double issue_share(const Device& device, const Tile& tile);

/// Parts under the quickest of some tiles; `split` is over k, 0: the quickest.
Parts quickest_parts(const Device& device, const ProductConstants& constants, std::span<const Tile> tiles,
                     const Shape& shape, Dtype dtype, int split);

/// Parts under the tile and split that the library is taken to choose; 0 for either: to be chosen.
Parts chosen_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                   int tile = 0, int split = 0);

}  // namespace lutra::gpu_sim
