// Sums for whatever the compiler targets by default.
#include "luts/sums/kernels.hpp"

namespace lutra::luts {

#include "luts/sums/scalar.inl"

namespace {

template <class Code>
void scalar_tile(const Tile<Code>& tile, Reduce reduce) {
  if (reduce == Reduce::kSum)
    scalar_rest<Reduce::kSum>(tile, 0);
  else
    scalar_rest<Reduce::kMax>(tile, 0);
}

}  // namespace

const SumKernels& baseline_sums() {
  static constexpr SumKernels kKernels{scalar_tile<std::uint8_t>, scalar_tile<std::uint16_t>};
  return kKernels;
}

}  // namespace lutra::luts
