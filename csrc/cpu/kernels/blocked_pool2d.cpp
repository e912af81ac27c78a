#include "cpu/kernels/blocked_pool2d.hpp"

namespace lutra::cpu {

BlockedPool2d::BlockedPool2d(const PoolShape& shape, const KernelTable& kernels)
    : shape_(shape), kernels_(kernels), scales_(shape) {}

void BlockedPool2d::run(const float* x, float* y) const {
  const Window2d& w = shape_.window;
  BlockWindow window;
  window.window = &w;
  window.row_scale = scales_.rows.data();
  window.column_scale = scales_.columns.data();
  for (int64_t plane = 0; plane < shape_.planes; ++plane) {
    window.x = x + plane * w.in_size() * kChannelBlock;
    window.y = y + plane * w.out_size() * kChannelBlock;
    if (shape_.kind == PoolKind::kMax)
      kernels_.block_max(window);
    else
      kernels_.block_sum(window);
  }
}

}  // namespace lutra::cpu
