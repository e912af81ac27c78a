#include <algorithm>

#include "cpu/kernels/broadcast.hpp"
#include "cpu/ops/quantised.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

// `kernel` and `reference_kernel` take (args, count).
template <class Kernel, class Reference>
Plan pointwise_plan(const Step& step, Kernel kernel, Reference reference_kernel) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_output(step.input());
  const int64_t count = elements(step.input());
  Plan plan;
  plan.reuse = Reuse::kInPlace;
  plan.run = [=](const StepArgs& args) { kernel(args, count); };
  plan.reference = [=](const StepArgs& args) { reference_kernel(args, count); };
  return plan;
}

Plan unary_plan(const Step& step, Activation activation) {
  return pointwise_plan(
      step,
      [=, &kernels = step.kernels()](const StepArgs& args, int64_t count) {
        kernels.activate(activation, args.in(0), args.out(), count);
      },
      [=](const StepArgs& args, int64_t count) {
        reference::activate(activation, args.in(0), args.out(), count);
      });
}

/// Attributes low and high (default: unbounded).
Plan plan_clip(Step& step) {
  const Clamp unbounded;
  const Clamp bounds{static_cast<float>(step.real("low", unbounded.low)),
                     static_cast<float>(step.real("high", unbounded.high))};
  return pointwise_plan(
      step,
      [=, &kernels = step.kernels()](const StepArgs& args, int64_t count) {
        kernels.clip(args.in(0), bounds, args.out(), count);
      },
      [=](const StepArgs& args, int64_t count) { reference::clip(args.in(0), bounds, args.out(), count); });
}

/// Attribute slope (default 0.01).
Plan plan_leaky_relu(Step& step) {
  const auto slope = static_cast<float>(step.real("slope", 0.01));
  return pointwise_plan(
      step,
      [=, &kernels = step.kernels()](const StepArgs& args, int64_t count) {
        kernels.leaky_relu(args.in(0), slope, args.out(), count);
      },
      [=](const StepArgs& args, int64_t count) {
        reference::leaky_relu(args.in(0), slope, args.out(), count);
      });
}

template <Activation kActivation>
Plan plan_unary(Step& step) {
  return unary_plan(step, kActivation);
}

/// Attribute approximate: "none" (by erf) or "tanh".
Plan plan_gelu(Step& step) {
  const std::string form = step.text("approximate", "none");
  step.expect(form == "none" || form == "tanh",
              "attribute 'approximate' must be none or tanh, not '" + form + "'");
  return unary_plan(step, form == "tanh" ? Activation::kGeluTanh : Activation::kGelu);
}

template <class From, class To>
Plan cast_plan(int64_t count) {
  Plan plan;
  plan.run = [count](const StepArgs& args) {
    const auto* x = static_cast<const From*>(args.inputs[0]);
    std::transform(x, x + count, static_cast<To*>(args.outputs[0]),
                   [](From v) { return static_cast<To>(v); });
  };
  plan.reference = plan.run;
  return plan;
}

/// Attribute to: element type of the output. Fractions are cut off.
Plan plan_cast(Step& step) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_output(step.input());
  const std::string to(dtype_name(step.output_dtype()));
  step.expect(step.text("to", to) == to, "attribute 'to' does not agree with the output, which is " + to);
  for (const DType dtype : {step.input_dtype(), step.output_dtype()})
    step.expect(dtype == DType::kFloat32 || dtype == DType::kInt64, "casts between float32 and int64 alone");
  const int64_t count = elements(step.input());
  const bool from_float = step.input_dtype() == DType::kFloat32;
  if (step.output_dtype() == DType::kFloat32)
    return from_float ? cast_plan<float, float>(count) : cast_plan<int64_t, float>(count);
  return from_float ? cast_plan<float, int64_t>(count) : cast_plan<int64_t, int64_t>(count);
}

/// Two operands, broadcast by numpy's rules.
Plan binary_plan(const Step& step, BinaryOp op) {
  step.expect_inputs(2, 2);
  step.expect_outputs(1);
  step.expect_types();
  const Shape a = step.input(0);
  const Shape b = step.input(1);
  const std::optional<Shape> out = broadcast_shape(a, b);
  step.expect(out.has_value(), "cannot broadcast " + to_string(a) + " and " + to_string(b));
  step.expect_output(*out);
  const BroadcastBinary kernel(op, a, b, step.kernels());
  Plan plan;
  if (a == *out) plan.reuse = Reuse::kInPlace;
  plan.run = [kernel](const StepArgs& args) { kernel.run(args.in(0), args.in(1), args.out()); };
  plan.reference = [=](const StepArgs& args) {
    reference::binary(op, a, args.in(0), b, args.in(1), args.out());
  };
  return plan;
}

template <BinaryOp kOp>
Plan plan_binary(Step& step) {
  return binary_plan(step, kOp);
}

Plan plan_add(Step& step) {
  return step.quantised() ? plan_quantised_add(step) : binary_plan(step, BinaryOp::kAdd);
}

}  // namespace

std::vector<OpDefinition> elementwise_ops() {
  return {
      {"clip", &plan_clip},
      {"leaky_relu", &plan_leaky_relu},
      {"relu", &plan_unary<Activation::kRelu>},
      {"relu6", &plan_unary<Activation::kRelu6>},
      {"hard_swish", &plan_unary<Activation::kHardSwish>},
      {"hard_sigmoid", &plan_unary<Activation::kHardSigmoid>},
      {"sigmoid", &plan_unary<Activation::kSigmoid>},
      {"silu", &plan_unary<Activation::kSilu>},
      {"gelu", &plan_gelu},
      {"tanh", &plan_unary<Activation::kTanh>},
      {"exp", &plan_unary<Activation::kExp>},
      {"sqrt", &plan_unary<Activation::kSqrt>},
      {"erf", &plan_unary<Activation::kErf>},
      {"neg", &plan_unary<Activation::kNegative>},
      {"abs", &plan_unary<Activation::kAbsolute>},
      {"cast", &plan_cast},
      {"add", &plan_add},
      {"sub", &plan_binary<BinaryOp::kSub>},
      {"mul", &plan_binary<BinaryOp::kMul>},
      {"div", &plan_binary<BinaryOp::kDiv>},
      {"pow", &plan_binary<BinaryOp::kPow>},
  };
}

}  // namespace lutra::cpu
