#include "cpu/kernels/normalise.hpp"

#include "cpu/kernels/softmax.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

using Names = std::optional<size_t>;

// Where a norm finds its operands among the inputs.
struct NormInputs {
  Names scale;
  Names shift;
  Names mean;
  Names variance;

  NormArgs of(const StepArgs& args) const {
    return {args.in(0), args.in(scale), args.in(shift), args.in(mean), args.in(variance), args.out()};
  }
};

void expect_norm(const Step& step, size_t most_inputs, int64_t size) {
  step.expect_inputs(1, most_inputs);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_output(step.input());
  for (size_t i = 1; i < step.input_count(); ++i) step.expect_input(i, {size}, "parameter");
}

template <class Shape, class Kernel, class Reference>
Plan norm_plan(const Step& step, const Shape& shape, const NormInputs& inputs, Kernel kernel,
               Reference reference) {
  Plan plan;
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    kernel(kernels, shape, inputs.of(args));
  };
  plan.reference = [=](const StepArgs& args) { reference(shape, inputs.of(args)); };
  return plan;
}

ChannelNormShape channel_shape(Step& step) {
  const Shape& x = step.input();
  step.expect(x.size() >= 2, "takes N x C x ..., not " + to_string(x));
  step.ignore({"affine", "momentum"});
  return {.batch = x[0],
          .channels = x[1],
          .inner = product(x, 2, x.size()),
          .epsilon = static_cast<float>(step.real("eps", 1e-5))};
}

/// Inputs: x (N x C x ...), [weight, bias,] running mean, running variance. Attribute eps.
Plan plan_batch_norm(Step& step) {
  step.expect(
      step.input_count() == 3 || step.input_count() == 5,
      "takes x, [weight, bias,] mean and variance, not " + std::to_string(step.input_count()) + " inputs");
  const ChannelNormShape shape = channel_shape(step);
  expect_norm(step, 5, shape.channels);
  const NormInputs inputs = step.input_count() == 5 ? NormInputs{1, 2, 3, 4} : NormInputs{{}, {}, 1, 2};
  Plan plan = norm_plan(step, shape, inputs, &batch_norm, &reference::batch_norm);
  plan.reuse = Reuse::kInPlace;
  return plan;
}

/// Inputs: x (N x C x ...) and optionally weight and bias. Attributes: groups, eps.
Plan plan_group_norm(Step& step) {
  ChannelNormShape shape = channel_shape(step);
  expect_norm(step, 3, shape.channels);
  shape.groups = step.integer("groups", 0);
  step.expect(shape.groups >= 1 && shape.channels % shape.groups == 0,
              "attribute 'groups' must divide the " + std::to_string(shape.channels) + " channels");
  const size_t count = step.input_count();
  const NormInputs inputs{count > 1 ? Names(1) : Names(), count > 2 ? Names(2) : Names(), {}, {}};
  return norm_plan(step, shape, inputs, &group_norm, &reference::group_norm);
}

RowNormShape row_shape(Step& step, size_t most_inputs, double epsilon) {
  const Shape& x = step.input();
  step.expect(!x.empty(), "takes at least one axis, not a scalar");
  step.ignore({"affine"});
  expect_norm(step, most_inputs, x.back());
  return {.rows = product(x, 0, x.size() - 1),
          .width = x.back(),
          .epsilon = static_cast<float>(step.real("eps", epsilon))};
}

/// Over the last axis. Inputs: x and optionally weight and bias. Attribute eps.
Plan plan_layer_norm(Step& step) {
  step.expect_inputs(1, 3);
  const RowNormShape shape = row_shape(step, 3, 1e-5);
  const size_t count = step.input_count();
  const NormInputs inputs{count > 1 ? Names(1) : Names(), count > 2 ? Names(2) : Names(), {}, {}};
  return norm_plan(step, shape, inputs, &layer_norm, &reference::layer_norm);
}

/// Over the last axis. Inputs: x and optionally weight. Attribute eps.
Plan plan_rms_norm(Step& step) {
  step.expect_inputs(1, 2);
  const RowNormShape shape = row_shape(step, 2, 1e-6);
  const NormInputs inputs{step.input_count() > 1 ? Names(1) : Names(), {}, {}, {}};
  return norm_plan(step, shape, inputs, &rms_norm, &reference::rms_norm);
}

/// Attribute axis (default -1).
Plan plan_softmax(Step& step) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_output(step.input());
  const Shape& x = step.input();
  const size_t axis = step.axis(-1);
  const AxisShape shape{product(x, 0, axis), x[axis], product(x, axis + 1, x.size())};
  Plan plan;
  plan.reuse = Reuse::kInPlace;
  plan.workspace_floats = softmax_workspace_floats(shape);
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    softmax(kernels, shape, args.in(0), args.out(), args.workspace);
  };
  plan.reference = [=](const StepArgs& args) { reference::softmax(shape, args.in(0), args.out()); };
  return plan;
}

}  // namespace

std::vector<OpDefinition> normalisation_ops() {
  return {{"batch_norm", &plan_batch_norm},
          {"group_norm", &plan_group_norm},
          {"layer_norm", &plan_layer_norm},
          {"rms_norm", &plan_rms_norm},
          {"softmax", &plan_softmax}};
}

}  // namespace lutra::cpu
