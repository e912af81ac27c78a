#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

enum class ResizeMode { kNearest, kBilinear };

struct ResizeShape {
  ResizeMode mode = ResizeMode::kNearest;
  int64_t planes = 1;
  int64_t in_h = 1, in_w = 1;
  int64_t out_h = 1, out_w = 1;
};

/// Where one output coordinate lies between two inputs.
struct Tap {
  int64_t low;
  int64_t high;
  float fraction;  ///< of `high`
};

/// Taps of one axis. Nearest: floor(o * in / out). Bilinear: half-pixel centres, (o + 1/2) in / out - 1/2,
/// clamped to the image (align_corners = false).
std::vector<Tap> resize_taps(ResizeMode mode, int64_t in, int64_t out);

class Resize2d {
 public:
  Resize2d(const ResizeShape& shape, const KernelTable& kernels);

  int64_t workspace_floats() const { return shape_.in_w; }
  void run(const float* x, float* y, float* workspace) const;

 private:
  ResizeShape shape_;
  const KernelTable& kernels_;
  std::vector<Tap> rows_;
  std::vector<Tap> columns_;
};

}  // namespace lutra::cpu
