#include "cpu/kernels/resize.hpp"

#include <algorithm>
#include <cmath>

namespace lutra::cpu {

std::vector<Tap> resize_taps(ResizeMode mode, int64_t in, int64_t out) {
  std::vector<Tap> taps;
  const double ratio = static_cast<double>(in) / static_cast<double>(out);
  for (int64_t o = 0; o < out; ++o) {
    if (mode == ResizeMode::kNearest) {
      const int64_t at = o * in / out;
      taps.push_back({at, at, 0.0F});
      continue;
    }
    const double centre = std::max(0.0, (static_cast<double>(o) + 0.5) * ratio - 0.5);
    const int64_t low = std::min(static_cast<int64_t>(centre), in - 1);
    taps.push_back({low, std::min(low + 1, in - 1), static_cast<float>(centre - static_cast<double>(low))});
  }
  return taps;
}

Resize2d::Resize2d(const ResizeShape& shape, const KernelTable& kernels)
    : shape_(shape),
      kernels_(kernels),
      rows_(resize_taps(shape.mode, shape.in_h, shape.out_h)),
      columns_(resize_taps(shape.mode, shape.in_w, shape.out_w)) {}

void Resize2d::run(const float* x, float* y, float* workspace) const {
  const bool nearest = shape_.mode == ResizeMode::kNearest;
  for (int64_t plane = 0; plane < shape_.planes; ++plane, x += shape_.in_h * shape_.in_w) {
    int64_t previous = -1;
    for (const Tap& row : rows_) {
      const float* low = x + row.low * shape_.in_w;
      if (nearest && row.low == previous) {
        y = std::copy_n(y - shape_.out_w, shape_.out_w, y);
        continue;
      }
      previous = row.low;
      if (nearest) {
        for (const Tap& column : columns_) *y++ = low[column.low];
        continue;
      }
      kernels_.lerp(low, x + row.high * shape_.in_w, row.fraction, workspace, shape_.in_w);
      for (const Tap& column : columns_)
        *y++ = workspace[column.low] + (workspace[column.high] - workspace[column.low]) * column.fraction;
    }
  }
}

}  // namespace lutra::cpu
