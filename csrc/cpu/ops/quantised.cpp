#include "cpu/ops/quantised.hpp"

#include <cmath>
#include <string>

#include "cpu/kernels/quantised_pool2d.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

Quantisation quantisation(Step& step, const std::string& name) {
  const double scale = step.real(name + "_scale", 1.0);
  const int64_t zero = step.integer(name + "_zero", 0);
  step.expect(std::isfinite(1.0F / static_cast<float>(scale)) && scale > 0.0 && std::isfinite(scale),
              "attribute '" + name + "_scale' must be positive");
  step.expect(zero >= 0 && zero <= 255, "attribute '" + name + "_zero' must be 0 to 255");
  return {static_cast<float>(scale), static_cast<int32_t>(zero)};
}

QuantisedOperands quantised_operands(Step& step, bool binary) {
  QuantisedOperands operands{.x = quantisation(step, "x"), .y = quantisation(step, "y"), .b = {}};
  if (binary) operands.b = quantisation(step, "b");
  operands.activation = step.activation();
  step.expect(is_clamp(operands.activation), "8-bit results take the activations none, relu and relu6 alone");
  return operands;
}

/// Attributes: those of `quantised_operands`, activation.
Plan plan_quantised_add(Step& step) {
  step.expect_types({DType::kUint8, DType::kUint8}, DType::kUint8);
  step.expect_input(1, step.input(), "input");
  step.expect_output(step.input());
  const int64_t count = elements(step.input());
  const QuantisedOperands operands = quantised_operands(step, true);
  const Requantisation to = operands.requantisation();
  Plan plan;
  plan.reuse = Reuse::kInPlace;
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    kernels.add_quantised(args.in_as<uint8_t>(0), operands.x.zero, operands.ratio(), args.in_as<uint8_t>(1),
                          to, args.out_as<uint8_t>(), count);
  };
  plan.reference = [=](const StepArgs& args) {
    reference::add_quantised(operands, args.in_as<uint8_t>(0), args.in_as<uint8_t>(1), args.out_as<uint8_t>(),
                             count);
  };
  return plan;
}

Plan plan_quantised_pool(Step& step, const PoolShape& shape) {
  QuantisedOperands operands;  // maxima keep the scale of x
  if (shape.kind == PoolKind::kAverage) operands = quantised_operands(step, false);
  const int64_t inner = step.input().size() == 5 ? kChannelBlock : 1;
  const QuantisedPool2d pool(shape, inner, operands);
  Plan plan;
  plan.run = [pool](const StepArgs& args) { pool.run(args.in_as<uint8_t>(0), args.out_as<uint8_t>()); };
  plan.reference = [=](const StepArgs& args) {
    reference::quantised_pool2d(shape, inner, operands, args.in_as<uint8_t>(0), args.out_as<uint8_t>());
  };
  return plan;
}

namespace {

/// x: float32; y: uint8, y = rint(x / y_scale) + y_zero, saturated. Attributes y_scale, y_zero.
Plan plan_quantise(Step& step) {
  step.expect_types({DType::kFloat32}, DType::kUint8);
  step.expect_output(step.input());
  const int64_t count = elements(step.input());
  const Quantisation to = quantisation(step, "y");
  const Requantisation requantisation = QuantisedOperands{.x = {}, .y = to, .b = {}}.requantisation();
  Plan plan;
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    kernels.quantise(args.in(0), 1.0F / to.scale, requantisation, args.out_as<uint8_t>(), count);
  };
  plan.reference = [=](const StepArgs& args) {
    reference::quantise(to, args.in(0), args.out_as<uint8_t>(), count);
  };
  return plan;
}

/// x: uint8; y: float32, y = (x - x_zero) * x_scale. Attributes x_scale, x_zero.
Plan plan_dequantise(Step& step) {
  step.expect_types({DType::kUint8}, DType::kFloat32);
  step.expect_output(step.input());
  const int64_t count = elements(step.input());
  const Quantisation from = quantisation(step, "x");
  Plan plan;
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    kernels.dequantise(args.in_as<uint8_t>(0), from, args.out(), count);
  };
  plan.reference = [=](const StepArgs& args) {
    reference::dequantise(from, args.in_as<uint8_t>(0), args.out(), count);
  };
  return plan;
}

}  // namespace

std::vector<OpDefinition> quantised_ops() {
  return {{"quantise", &plan_quantise}, {"dequantise", &plan_dequantise}};
}

}  // namespace lutra::cpu
