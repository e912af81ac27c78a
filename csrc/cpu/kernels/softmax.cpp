#include "cpu/kernels/softmax.hpp"

namespace lutra::cpu {

int64_t softmax_workspace_floats(const AxisShape& shape) { return shape.inner == 1 ? 0 : 2 * shape.inner; }

void softmax(const KernelTable& kernels, const AxisShape& shape, const float* x, float* y, float* workspace) {
  const int64_t slab = shape.length * shape.inner;
  for (int64_t i = 0; i < shape.outer; ++i) {
    if (shape.inner == 1)
      kernels.softmax_row(x + i * slab, 1.0F, y + i * slab, shape.length);
    else
      kernels.softmax_columns(x + i * slab, shape.length, shape.inner, y + i * slab, workspace);
  }
}

}  // namespace lutra::cpu
