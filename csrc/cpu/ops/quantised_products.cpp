#include <algorithm>
#include <string>

#include "cpu/kernels/quantised_conv2d.hpp"
#include "cpu/ops/blocked.hpp"
#include "cpu/ops/convolution.hpp"
#include "cpu/ops/linear.hpp"
#include "cpu/ops/quantised.hpp"
#include "cpu/reference/reference.hpp"

// Convolutions and linear layers of 8-bit numbers. Their inputs: x (uint8), weight (int8), optional bias
// (int32), scale of the weights (float32, one per output channel), optional residual (uint8, as the output).
namespace lutra::cpu {

namespace {

struct Inputs {
  std::optional<size_t> bias;
  size_t scale = 2;
  std::optional<size_t> residual;
};

Inputs find_inputs(const Step& step, int64_t channels) {
  step.expect_inputs(3, 5);
  step.expect_outputs(1);
  Inputs found;
  if (step.input_dtype(2) == DType::kInt32) {
    found.bias = 2;
    found.scale = 3;
  }
  step.expect(found.scale < step.input_count(), "needs the scale of its weights");
  if (found.scale + 1 < step.input_count()) found.residual = found.scale + 1;
  step.expect_inputs(found.scale + 1, found.scale + 2);
  std::vector<DType> wanted{DType::kUint8, DType::kInt8};
  if (found.bias) wanted.push_back(DType::kInt32);
  wanted.push_back(DType::kFloat32);
  if (found.residual) wanted.push_back(DType::kUint8);
  step.expect_types(wanted, DType::kUint8);
  if (found.bias) step.expect_input(*found.bias, {channels}, "bias");
  step.expect_input(found.scale, {channels}, "scale of the weights");
  if (found.residual) step.expect_input(*found.residual, step.output(), "residual");
  return found;
}

void expect_summable(const Step& step, int64_t products) {
  step.expect(products <= kMostSummed, "sums up " + std::to_string(products) + " products; 32 bits hold " +
                                           std::to_string(kMostSummed) + ": leave it float32");
}

// `reference` takes reference::QuantisedConvArgs.
template <class Kernel, class Reference>
Plan product_plan(const Kernel& kernel, const Inputs& inputs, Reference reference) {
  Plan plan;
  plan.workspace_floats = kernel.workspace_floats();
  plan.packed_floats = kernel.packed_floats();
  plan.packed_input = 1;
  plan.pack = [kernel](const void* raw, float* packed) {
    kernel.pack(static_cast<const int8_t*>(raw), packed);
  };
  plan.run = [kernel, inputs](const StepArgs& args) {
    kernel.run({args.in_as<uint8_t>(0), args.packed, args.in_as<int32_t>(inputs.bias), args.in(inputs.scale),
                args.in_as<uint8_t>(inputs.residual), args.out_as<uint8_t>(), args.workspace});
  };
  plan.reference = [=](const StepArgs& args) {
    reference(reference::QuantisedConvArgs{args.in_as<uint8_t>(0), args.in_as<int8_t>(1),
                                           args.in_as<int32_t>(inputs.bias), args.in(inputs.scale),
                                           args.in_as<uint8_t>(inputs.residual), args.out_as<uint8_t>()});
  };
  return plan;
}

}  // namespace

/// x: N x C x H x W or in blocks; weight: O x C/groups x KH x KW; y: in blocks. Attributes: those of conv2d
/// (layout must be nchw8c) and of `quantised_operands`, with a residual those of b too.
Plan plan_quantised_conv2d(Step& step) {
  step.expect_inputs(3, 5);
  step.expect_constant(1, "weight");
  step.expect_rank(1, 4, "O x C/groups x KH x KW");
  step.expect(is_blocked(step), "8-bit convolutions have their output in blocks: layout nchw8c");
  const ConvAttributes attributes(step, 2);
  const bool plain = step.input().size() == 4;
  step.expect(attributes.groups >= 1 && attributes.groups <= kMaxTensorBytes / step.input(1)[1],
              "attribute 'groups' is out of range");
  const Shape x = plain ? step.input() : plain_shape(step, step.input(1)[1] * attributes.groups);
  const Conv2dShape shape = conv_shape(step, attributes, x, step.input(1));
  const Window2d& w = shape.window;
  step.expect_output(blocked_shape({shape.batch, shape.out_channels, w.out_h, w.out_w}));
  expect_summable(step, shape.in_channels / shape.groups * w.taps());
  expect_listable(step, w);
  const Inputs inputs = find_inputs(step, shape.out_channels);
  const QuantisedOperands operands = quantised_operands(step, inputs.residual.has_value());
  const auto reference = [=](const reference::QuantisedConvArgs& args) {
    reference::quantised_conv2d(shape, plain, operands, args);
  };
  if (!plain && QuantisedDepthwise::fits(shape))
    return product_plan(QuantisedDepthwise(shape, operands, step.kernels()), inputs, reference);
  return product_plan(QuantisedConv2d(shape, plain, operands, step.kernels()), inputs, reference);
}

/// x: ... x I; weight: O x I. Attributes: those of `quantised_operands`, with a residual those of b too.
Plan plan_quantised_linear(Step& step) {
  step.expect_inputs(3, 5);
  const auto [rows, outputs, depth] = linear_shape(step);
  expect_summable(step, depth);
  const Inputs inputs = find_inputs(step, outputs);
  const QuantisedOperands operands = quantised_operands(step, inputs.residual.has_value());
  const QuantisedLinear::Shape shape{rows, outputs, depth};
  return product_plan(
      QuantisedLinear(shape, operands, step.kernels()), inputs,
      [=](const reference::QuantisedConvArgs& args) { reference::quantised_linear(shape, operands, args); });
}

}  // namespace lutra::cpu
