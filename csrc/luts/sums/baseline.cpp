// Sums for whatever the compiler targets by default.
#include "luts/sums/kernels.hpp"

namespace lutra::luts {

#include "luts/sums/scalar.inl"

const SumKernels& baseline_sums() {
  static constexpr SumKernels kKernels{scalar_tile<std::uint8_t>, scalar_tile<std::uint16_t>};
  return kKernels;
}

}  // namespace lutra::luts
