#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/conv2d.hpp"

namespace lutra::cpu {

/// Transposed convolution, described by the convolution that it transposes: `shape.window` maps y (its input)
/// to x (its output). weight: in_channels x out_channels / groups x kernel_h x kernel_w.
class ConvTranspose2d {
 public:
  ConvTranspose2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels);

  int64_t packed_floats() const;
  int64_t workspace_floats() const;
  void pack(const float* weight, float* packed) const;
  /// Without residual.
  void run(const ConvArgs& args) const;

 private:
  int64_t group_inputs() const { return shape_.in_channels / shape_.groups; }
  int64_t group_outputs() const { return shape_.out_channels / shape_.groups; }
  int64_t product_rows() const { return group_outputs() * shape_.window.taps(); }
  int64_t product_floats() const { return whole_lines(product_rows() * shape_.window.out_size()); }
  void scatter(const float* product, float* plane) const;

  Conv2dShape shape_;
  Activation activation_;
  const KernelTable& kernels_;
  std::vector<int64_t> offsets_;
};

}  // namespace lutra::cpu
