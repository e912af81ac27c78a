#pragma once

#include <array>
#include <cstdint>

#include "gpu_sim/device.hpp"

namespace lutra::gpu_sim {

enum class Kind : int { kGemm, kLinear, kConv, kElementwise, kSoftmax, kNorm, kPooling, kMovement };
inline constexpr int kKinds = 8;

/// What a kernel is; `size` is read as the struct of its kind below. One row of the batch interface.
struct Op {
  Kind kind = Kind::kGemm;
  Dtype dtype = Dtype::kFp32;
  std::array<std::int64_t, 14> size{};
};

/// `batch` products of (m x k) and (k x n) matrices. `tile` counts from 1 and `split` is over k; 0: to be
/// chosen.
struct Product {
  double batch, m, n, k;
  int tile, split;
};

struct Conv {
  double batch, channels, height, width, filters, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w,
      dilation_h, dilation_w, groups;
  double out_height, out_width;
};

inline Product product_of(const Op& op) {
  const auto& s = op.size;
  return {static_cast<double>(s[0]), static_cast<double>(s[1]), static_cast<double>(s[2]),
          static_cast<double>(s[3]), static_cast<int>(s[4]),    static_cast<int>(s[5])};
}

inline Conv conv_of(const Op& op) {
  const auto& s = op.size;
  const auto at = [&s](std::size_t i) { return static_cast<double>(s[i]); };
  const std::int64_t out_h = (s[2] + 2 * s[9] - s[11] * (s[5] - 1) - 1) / s[7] + 1;
  const std::int64_t out_w = (s[3] + 2 * s[10] - s[12] * (s[6] - 1) - 1) / s[8] + 1;
  return {at(0),
          at(1),
          at(2),
          at(3),
          at(4),
          at(5),
          at(6),
          at(7),
          at(8),
          at(9),
          at(10),
          at(11),
          at(12),
          at(13),
          static_cast<double>(out_h),
          static_cast<double>(out_w)};
}

}  // namespace lutra::gpu_sim
