#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/conv2d.hpp"
#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// The attributes of a convolution over `rank` spatial axes, as those of a two-dimensional one.
struct ConvAttributes {
  ConvAttributes(Step& step, size_t rank);

  std::vector<int64_t> stride;
  std::vector<int64_t> padding;  ///< top, left, bottom, right
  std::vector<int64_t> dilation;
  int64_t groups;
};

/// Sizes of input (N x C x H x W), weight and output, checked against each other.
Conv2dShape conv_shape(const Step& step, const ConvAttributes& attributes, const Shape& x,
                       const Shape& weight);

}  // namespace lutra::cpu
