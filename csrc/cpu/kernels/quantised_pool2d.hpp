#pragma once

#include "cpu/kernels/pool2d.hpp"
#include "cpu/kernels/quantised.hpp"

namespace lutra::cpu {

/// Pooling of `planes` images of in_h x in_w x `inner` 8-bit numbers: inner is 8 for blocks of channels, 1
/// for plain images. Maxima keep x's scale; averages are rounded once, into y's.
class QuantisedPool2d {
 public:
  QuantisedPool2d(const PoolShape& shape, int64_t inner, const QuantisedOperands& operands);

  void run(const uint8_t* x, uint8_t* y) const;

 private:
  template <int64_t Inner>
  void run_plane(const uint8_t* x, uint8_t* y) const;

  PoolShape shape_;
  int64_t inner_;
  QuantisedOperands operands_;
  PoolScales scales_;
};

}  // namespace lutra::cpu
