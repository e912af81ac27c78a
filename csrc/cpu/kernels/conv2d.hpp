#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/stage.hpp"

namespace lutra::cpu {

/// x: batch x in_channels x in_h x in_w; weight: out_channels x in_channels / groups x kernel_h x kernel_w.
struct Conv2dShape {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;
  Window2d window;

  bool pointwise() const {
    const Window2d& w = window;
    return w.taps() == 1 && w.stride_h == 1 && w.stride_w == 1 && w.pad_top == 0 && w.pad_left == 0 &&
           w.in_h == w.out_h && w.in_w == w.out_w;
  }
  bool depthwise() const { return groups == in_channels && groups > 1; }
};

/// The operands of one call. `bias` has out_channels values; `residual` is shaped as the output; both are
/// optional.
struct ConvArgs {
  const float* x = nullptr;
  const float* packed_weight = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* y = nullptr;
  float* workspace = nullptr;
};

/// y = activation(conv(x) + bias + residual) as a matrix product of the packed weights (A) with the windows
/// (B), which are gathered panel by panel. Pointwise convolutions read x in place.
class Conv2d {
 public:
  Conv2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels);

  int64_t packed_floats() const;
  int64_t workspace_floats() const;
  void pack(const float* weight, float* packed) const;
  void run(const ConvArgs& args) const;

 private:
  int64_t group_inputs() const { return shape_.in_channels / shape_.groups; }
  int64_t group_outputs() const { return shape_.out_channels / shape_.groups; }
  int64_t depth() const { return group_inputs() * shape_.window.taps(); }
  int64_t staged_floats() const;
  ColumnSource columns_of(const float* x, float* staged) const;

  Conv2dShape shape_;
  Activation activation_;
  const KernelTable& kernels_;
  Stage stage_;
  std::vector<int64_t> offsets_;  ///< of each row of B
};

/// Convolution with one input channel per group, by sliding windows.
class DepthwiseConv2d {
 public:
  DepthwiseConv2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels);

  int64_t packed_floats() const { return shape_.out_channels * shape_.window.taps(); }
  int64_t workspace_floats() const;
  void pack(const float* weight, float* packed) const;
  void run(const ConvArgs& args) const;

 private:
  Conv2dShape shape_;
  Activation activation_;
  const KernelTable& kernels_;
  Stage stage_;
};

}  // namespace lutra::cpu
