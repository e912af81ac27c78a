#pragma once

#include <array>
#include <span>

#include "gpu_sim/conv.hpp"
#include "gpu_sim/memory.hpp"
#include "gpu_sim/op.hpp"
#include "gpu_sim/parts.hpp"
#include "gpu_sim/product.hpp"

namespace lutra::gpu_sim {

/// The constants of all classes, one for SIMT (0) and one for tensor cores (1) where that matters.
struct Constants {
  std::array<ProductConstants, 2> gemm, linear;
  std::array<ConvConstants, 2> conv;
  StreamConstants elementwise, pooling, movement;
  RowConstants softmax, norm;

  /// Throws std::invalid_argument: no tiles, a constant out of bounds, a damaged selection tree.
  void check() const;
};

/// Estimates kernels of one device: how long, and what it waits for.
class Model {
 public:
  /// Throws std::invalid_argument: constants or a device that cannot be.
  Model(const Device& device, const Constants& constants);

  /// Throws std::invalid_argument: sizes below 1, or a number format that the device does not compute in.
  Answer estimate(const Op& op) const;

  /// One answer per op; the sizes of both must be equal. Throws like `estimate`, naming the op by its place.
  void estimate(std::span<const Op> ops, std::span<Answer> answers) const;

 private:
  Device device_;
  Constants constants_;
};

}  // namespace lutra::gpu_sim
