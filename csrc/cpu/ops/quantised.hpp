#pragma once

#include "cpu/kernels/pool2d.hpp"
#include "cpu/kernels/quantised.hpp"
#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// Reads scale and zero point of one operand: the attributes `name`_scale and `name`_zero.
Quantisation quantisation(Step& step, const std::string& name);

/// Those of x and y and, with `binary`, of a second operand b; and the activation, which must be a clamp.
QuantisedOperands quantised_operands(Step& step, bool binary);

// The 8-bit forms of ops, for steps whose first input is uint8.
Plan plan_quantised_conv2d(Step& step);
Plan plan_quantised_linear(Step& step);
Plan plan_quantised_add(Step& step);
Plan plan_quantised_pool(Step& step, const PoolShape& shape);

}  // namespace lutra::cpu
