#pragma once

#include <cstdint>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

/// A tensor as outer x length x inner, with an operation along `length`.
struct AxisShape {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
};

int64_t softmax_workspace_floats(const AxisShape& shape);
void softmax(const KernelTable& kernels, const AxisShape& shape, const float* x, float* y, float* workspace);

}  // namespace lutra::cpu
