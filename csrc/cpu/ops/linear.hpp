#pragma once

#include "cpu/kernels/matmul.hpp"
#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// Checks x: ... x I, weight: O x I and y: ... x O of a linear layer, whatever their types; without its other
/// inputs.
LinearShape linear_shape(Step& step);

}  // namespace lutra::cpu
