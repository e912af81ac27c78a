#include "cpu/kernels/quantised_pool2d.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace lutra::cpu {

namespace {

// Inputs of a window along one axis that lie inside the image.
struct Range {
  Range(int64_t out, int64_t stride, int64_t pad, int64_t kernel, int64_t size)
      : first(std::clamp<int64_t>(out * stride - pad, 0, size)),
        end(std::clamp<int64_t>(out * stride - pad + kernel, 0, size)) {}

  int64_t first;
  int64_t end;
};

template <int64_t Inner, class T, class Step>
std::array<T, Inner> folded(const uint8_t* x, int64_t in_w, const Range& rows, const Range& columns,
                            Step step) {
  std::array<T, Inner> result{};
  for (int64_t row = rows.first; row < rows.end; ++row)
    for (int64_t column = columns.first; column < columns.end; ++column)
      for (size_t i = 0; i < Inner; ++i)
        result[i] = step(result[i], x[static_cast<size_t>((row * in_w + column) * Inner) + i]);
  return result;
}

}  // namespace

QuantisedPool2d::QuantisedPool2d(const PoolShape& shape, int64_t inner, const QuantisedOperands& operands)
    : shape_(shape), inner_(inner), operands_(operands), scales_(shape) {}

template <int64_t Inner>
void QuantisedPool2d::run_plane(const uint8_t* x, uint8_t* y) const {
  const Window2d& w = shape_.window;
  const Requantisation to = operands_.requantisation();
  const float ratio = operands_.ratio();
  for (int64_t oh = 0; oh < w.out_h; ++oh) {
    const Range rows(oh, w.stride_h, w.pad_top, w.kernel_h, w.in_h);
    for (int64_t ow = 0; ow < w.out_w; ++ow, y += Inner) {
      const Range columns(ow, w.stride_w, w.pad_left, w.kernel_w, w.in_w);
      if (shape_.kind == PoolKind::kMax) {
        const auto largest = folded<Inner, uint8_t>(x, w.in_w, rows, columns,
                                                    [](uint8_t a, uint8_t b) { return std::max(a, b); });
        std::copy(largest.begin(), largest.end(), y);
        continue;
      }
      const auto sums =
          folded<Inner, int32_t>(x, w.in_w, rows, columns, [](int32_t sum, uint8_t b) { return sum + b; });
      const auto zeros =
          static_cast<int32_t>((rows.end - rows.first) * (columns.end - columns.first)) * operands_.x.zero;
      const float scale =
          ratio * (scales_.rows[static_cast<size_t>(oh)] * scales_.columns[static_cast<size_t>(ow)]);
      for (size_t i = 0; i < Inner; ++i) {
        const float mean = static_cast<float>(sums[i] - zeros) * scale;
        y[i] = static_cast<uint8_t>(std::nearbyint(std::clamp(mean, to.clamp.low, to.clamp.high)) +
                                    static_cast<float>(to.zero));
      }
    }
  }
}

void QuantisedPool2d::run(const uint8_t* x, uint8_t* y) const {
  const Window2d& w = shape_.window;
  for (int64_t plane = 0; plane < shape_.planes; ++plane) {
    const uint8_t* from = x + plane * w.in_size() * inner_;
    uint8_t* to = y + plane * w.out_size() * inner_;
    inner_ == kChannelBlock ? run_plane<kChannelBlock>(from, to) : run_plane<1>(from, to);
  }
}

}  // namespace lutra::cpu
