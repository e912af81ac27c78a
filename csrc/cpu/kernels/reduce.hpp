#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/softmax.hpp"
#include "cpu/tensor.hpp"

namespace lutra::cpu {

enum class Reduction { kSum, kMax };

/// Sum or largest element of a tensor over several axes, times `scale`: one pass per run of neighbouring
/// axes, the last axes first, so that each pass works on the smallest tensor it can.
class Reduce {
 public:
  /// `axes` are sorted, distinct and within the rank.
  Reduce(const Shape& shape, const std::vector<int64_t>& axes, Reduction reduction, float scale,
         const KernelTable& kernels);

  int64_t workspace_floats() const;
  void run(const float* x, float* y, float* workspace) const;

 private:
  void pass(const AxisShape& shape, const float* x, float* y) const;

  std::vector<AxisShape> passes_;
  Reduction reduction_;
  float scale_;
  const KernelTable& kernels_;
};

}  // namespace lutra::cpu
