#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/stage.hpp"

namespace lutra::cpu {

enum class PoolKind { kMax, kAverage };

/// Pooling of `planes` (batch x channels) images. Averages divide by the inputs under the window; with
/// `count_padding` those of the padding count too, as far as pad_bottom and pad_right reach.
struct PoolShape {
  PoolKind kind = PoolKind::kMax;
  int64_t planes = 1;
  Window2d window;
  int64_t pad_bottom = 0;
  int64_t pad_right = 0;
  bool count_padding = true;
};

/// What the sums of averages are multiplied by: 1 / inputs under the window, as a product of both axes'.
/// Empty for maxima.
struct PoolScales {
  explicit PoolScales(const PoolShape& shape);

  std::vector<float> rows;
  std::vector<float> columns;
};

class Pool2d {
 public:
  Pool2d(const PoolShape& shape, const KernelTable& kernels);

  int64_t workspace_floats() const { return stage_.plane_floats() + kernels_.lanes; }
  void run(const float* x, float* y, float* workspace) const;

 private:
  void divide(float* y) const;

  PoolShape shape_;
  const KernelTable& kernels_;
  Stage stage_;
  PoolScales scales_;
};

/// Average pooling to out_h x out_w cells; cell i covers inputs [floor(i H / out_h), ceil((i + 1) H /
/// out_h)).
struct AdaptivePoolShape {
  int64_t planes = 1;
  int64_t in_h = 1, in_w = 1;
  int64_t out_h = 1, out_w = 1;
};

int64_t adaptive_pool_workspace_floats(const AdaptivePoolShape& shape);
void adaptive_average_pool(const KernelTable& kernels, const AdaptivePoolShape& shape, const float* x,
                           float* y, float* workspace);

}  // namespace lutra::cpu
