#include "cpu/kernels/reduce.hpp"

#include <algorithm>

namespace lutra::cpu {

Reduce::Reduce(const Shape& shape, const std::vector<int64_t>& axes, Reduction reduction, float scale,
               const KernelTable& kernels)
    : reduction_(reduction), scale_(scale), kernels_(kernels) {
  int64_t inner = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    const bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    if (!reduced) {
      inner *= shape[axis];
      continue;
    }
    int64_t length = shape[axis];
    while (axis > 0 && std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis) - 1) != axes.end())
      length *= shape[--axis];
    passes_.push_back({product(shape, 0, axis), length, inner});
  }
  if (passes_.empty()) passes_.push_back({elements(shape), 1, 1});
}

int64_t Reduce::workspace_floats() const {
  if (passes_.size() == 1) return 0;
  return 2 * passes_.front().outer * passes_.front().inner;  // later results are smaller
}

void Reduce::pass(const AxisShape& shape, const float* x, float* y) const {
  const bool max = reduction_ == Reduction::kMax;
  for (int64_t i = 0; i < shape.outer; ++i, x += shape.length * shape.inner, y += shape.inner) {
    if (shape.inner == 1) {
      *y = max ? kernels_.largest(x, shape.length) : kernels_.sum(x, shape.length);
      continue;
    }
    std::copy_n(x, shape.inner, y);
    for (int64_t row = 1; row < shape.length; ++row)
      kernels_.binary(max ? BinaryOp::kMax : BinaryOp::kAdd, y, Operand::kVector, x + row * shape.inner,
                      Operand::kVector, y, shape.inner);
  }
}

void Reduce::run(const float* x, float* y, float* workspace) const {
  const int64_t half = workspace_floats() / 2;
  for (size_t i = 0; i < passes_.size(); ++i) {
    float* const out = i + 1 == passes_.size() ? y : workspace + static_cast<int64_t>(i % 2) * half;
    pass(passes_[i], x, out);
    x = out;
  }
  const AxisShape& last = passes_.back();
  if (scale_ != 1.0F) kernels_.affine(y, scale_, 0.0F, y, last.outer * last.inner);
}

}  // namespace lutra::cpu
