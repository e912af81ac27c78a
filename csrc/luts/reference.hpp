#pragma once

#include <cstddef>
#include <span>

#include "luts/codes.hpp"
#include "luts/sums/kernels.hpp"

namespace lutra::luts {

/// What `DenseCosts::evaluate` computes, one architecture after the other. Codes must fit; `costs` is
/// row-major, positions x choices.
void reference_evaluate(std::span<const float> costs, std::size_t choices, Reduce reduce,
                        const CodesView& codes, float start, std::span<float> out);

}  // namespace lutra::luts
