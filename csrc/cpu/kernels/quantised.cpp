#include "cpu/kernels/quantised.hpp"

#include <algorithm>

namespace lutra::cpu {

Requantisation QuantisedOperands::requantisation() const {
  const Clamp bounds = clamp_of(activation);
  const auto lowest = static_cast<float>(-y.zero);
  const auto highest = static_cast<float>(255 - y.zero);
  return {.clamp = {.low = std::clamp(bounds.low / y.scale, lowest, highest),
                    .high = std::clamp(bounds.high / y.scale, lowest, highest)},
          .zero = y.zero,
          .b_zero = b.zero,
          .b_multiplier = b.scale / y.scale};
}

}  // namespace lutra::cpu
