#pragma once

#include "cpu/kernels/pool2d.hpp"

namespace lutra::cpu {

/// Pooling of `planes` blocks of channels, each in_h x in_w x 8.
class BlockedPool2d {
 public:
  BlockedPool2d(const PoolShape& shape, const KernelTable& kernels);

  void run(const float* x, float* y) const;

 private:
  PoolShape shape_;
  const KernelTable& kernels_;
  PoolScales scales_;
};

}  // namespace lutra::cpu
