#include "luts/reference.hpp"

#include <algorithm>

namespace lutra::luts {

void reference_evaluate(std::span<const float> costs, std::size_t choices, Reduce reduce,
                        const CodesView& codes, float start, std::span<float> out) {
  for (std::size_t i = 0; i < codes.count; ++i) {
    float total = start;
    for (std::size_t p = 0; p < codes.positions; ++p) {
      const float cost = costs[p * choices + static_cast<std::size_t>(codes.at(i, p))];
      total = reduce == Reduce::kSum ? total + cost : std::max(total, cost);
    }
    out[i] = total;
  }
}

}  // namespace lutra::luts
