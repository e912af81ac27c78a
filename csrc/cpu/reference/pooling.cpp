#include <algorithm>
#include <limits>

#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

namespace {

float pool_window(const PoolShape& shape, const float* plane, int64_t oh, int64_t ow) {
  const Window2d& w = shape.window;
  float largest = -std::numeric_limits<float>::infinity();
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t tap = 0; tap < w.taps(); ++tap) {
    const int64_t ih = oh * w.stride_h - w.pad_top + tap / w.kernel_w * w.dilation_h;
    const int64_t iw = ow * w.stride_w - w.pad_left + tap % w.kernel_w * w.dilation_w;
    const bool in_image = ih >= 0 && ih < w.in_h && iw >= 0 && iw < w.in_w;
    const bool in_padding = ih < w.in_h + shape.pad_bottom && iw < w.in_w + shape.pad_right;
    if (in_image || (shape.count_padding && in_padding)) ++count;
    if (!in_image) continue;
    largest = std::max(largest, plane[ih * w.in_w + iw]);
    sum += plane[ih * w.in_w + iw];
  }
  if (shape.kind == PoolKind::kMax) return largest;
  return count > 0 ? static_cast<float>(sum / static_cast<double>(count)) : 0.0F;
}

}  // namespace

void pool2d(const PoolShape& shape, const float* x, float* y) {
  for (int64_t plane = 0; plane < shape.planes; ++plane)
    for (int64_t oh = 0; oh < shape.window.out_h; ++oh)
      for (int64_t ow = 0; ow < shape.window.out_w; ++ow)
        *y++ = pool_window(shape, x + plane * shape.window.in_size(), oh, ow);
}

void adaptive_average_pool(const AdaptivePoolShape& shape, const float* x, float* y) {
  for (int64_t plane = 0; plane < shape.planes; ++plane)
    for (int64_t oh = 0; oh < shape.out_h; ++oh)
      for (int64_t ow = 0; ow < shape.out_w; ++ow) {
        double sum = 0.0;
        int64_t count = 0;
        for (int64_t ih = oh * shape.in_h / shape.out_h; ih * shape.out_h < (oh + 1) * shape.in_h; ++ih)
          for (int64_t iw = ow * shape.in_w / shape.out_w; iw * shape.out_w < (ow + 1) * shape.in_w;
               ++iw, ++count)
            sum += x[(plane * shape.in_h + ih) * shape.in_w + iw];
        *y++ = static_cast<float>(sum / static_cast<double>(count));
      }
}

}  // namespace lutra::cpu::reference
