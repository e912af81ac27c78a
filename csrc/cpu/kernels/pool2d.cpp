#include "cpu/kernels/pool2d.hpp"

#include <algorithm>
#include <limits>

namespace lutra::cpu {

namespace {

struct Axis {
  int64_t in, kernel, stride, pad_before, pad_after, dilation, out;
};

// 1 / number of taps that count, for each output along one axis: the count of a window is the product of both
// axes'.
std::vector<float> inverse_counts(const Axis& axis, bool count_padding) {
  const int64_t low = count_padding ? -axis.pad_before : 0;
  const int64_t high = axis.in + (count_padding ? axis.pad_after : 0);
  std::vector<float> scale;
  for (int64_t o = 0; o < axis.out; ++o) {
    int64_t count = 0;
    for (int64_t tap = 0; tap < axis.kernel; ++tap) {
      const int64_t at = o * axis.stride - axis.pad_before + tap * axis.dilation;
      count += at >= low && at < high ? 1 : 0;
    }
    scale.push_back(count > 0 ? 1.0F / static_cast<float>(count) : 0.0F);
  }
  return scale;
}

}  // namespace

PoolScales::PoolScales(const PoolShape& shape) {
  if (shape.kind == PoolKind::kMax) return;
  const Window2d& w = shape.window;
  rows = inverse_counts({w.in_h, w.kernel_h, w.stride_h, w.pad_top, shape.pad_bottom, w.dilation_h, w.out_h},
                        shape.count_padding);
  columns =
      inverse_counts({w.in_w, w.kernel_w, w.stride_w, w.pad_left, shape.pad_right, w.dilation_w, w.out_w},
                     shape.count_padding);
}

Pool2d::Pool2d(const PoolShape& shape, const KernelTable& kernels)
    : shape_(shape), kernels_(kernels), stage_(shape.window), scales_(shape) {}

void Pool2d::divide(float* y) const {
  const int64_t columns = shape_.window.out_w;
  for (const float scale : scales_.rows) {
    kernels_.binary(BinaryOp::kMul, y, Operand::kVector, scales_.columns.data(), Operand::kVector, y,
                    columns);
    kernels_.affine(y, scale, 0.0F, y, columns);
    y += columns;
  }
}

void Pool2d::run(const float* x, float* y, float* workspace) const {
  const Window2d& window = shape_.window;
  const bool max = shape_.kind == PoolKind::kMax;
  std::fill_n(workspace, workspace_floats(), max ? -std::numeric_limits<float>::infinity() : 0.0F);
  WindowRows rows = stage_.rows(workspace);
  for (int64_t plane = 0; plane < shape_.planes; ++plane) {
    stage_.copy(kernels_, x + plane * window.in_size(), workspace);
    rows.out = y + plane * window.out_size();
    if (max) {
      kernels_.window_max(rows);
    } else {
      kernels_.window_sum(rows);
      divide(rows.out);
    }
  }
}

int64_t adaptive_pool_workspace_floats(const AdaptivePoolShape& shape) { return shape.in_w; }

void adaptive_average_pool(const KernelTable& kernels, const AdaptivePoolShape& shape, const float* x,
                           float* y, float* workspace) {
  for (int64_t plane = 0; plane < shape.planes; ++plane, x += shape.in_h * shape.in_w)
    for (int64_t oh = 0; oh < shape.out_h; ++oh) {
      const int64_t top = oh * shape.in_h / shape.out_h;
      const int64_t bottom = ((oh + 1) * shape.in_h + shape.out_h - 1) / shape.out_h;
      std::copy_n(x + top * shape.in_w, shape.in_w, workspace);
      for (int64_t row = top + 1; row < bottom; ++row)
        kernels.accumulate(x + row * shape.in_w, workspace, shape.in_w);
      for (int64_t ow = 0; ow < shape.out_w; ++ow) {
        const int64_t left = ow * shape.in_w / shape.out_w;
        const int64_t right = ((ow + 1) * shape.in_w + shape.out_w - 1) / shape.out_w;
        const float count = static_cast<float>((bottom - top) * (right - left));
        *y++ = kernels.sum(workspace + left, right - left) / count;
      }
    }
}

}  // namespace lutra::cpu
