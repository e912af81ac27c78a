#include "cpu/kernels/broadcast.hpp"
#include "cpu/kernels/matmul.hpp"
#include "cpu/ops/batch.hpp"
#include "cpu/ops/linear.hpp"
#include "cpu/ops/quantised.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

LinearShape linear_shape(Step& step) {
  step.expect_constant(1, "weight");
  step.ignore({"out_features", "bias"});
  const Shape& x = step.input(0);
  step.expect(!x.empty(), "takes at least one axis, not a scalar");
  step.expect_rank(1, 2, "O x I");
  const int64_t outputs = step.input(1)[0];
  step.expect_input(1, {outputs, x.back()}, "weight");
  Shape out = x;
  out.back() = outputs;
  step.expect_output(out);
  return {product(x, 0, x.size() - 1), outputs, x.back()};
}

namespace {

/// x: ... x I; weight: O x I; optional bias: O; optional residual: as the output. Attribute activation.
Plan plan_linear(Step& step) {
  if (step.quantised()) return plan_quantised_linear(step);
  step.expect_inputs(2, 4);
  step.expect_outputs(1);
  step.expect_types();
  const LinearShape shape = linear_shape(step);
  const FusedInputs fused = fused_inputs(step, shape.columns);
  const Activation activation = step.activation();
  const KernelTable& kernels = step.kernels();

  Plan plan;
  plan.packed_floats = linear_packed_floats(kernels, shape);
  plan.packed_input = 1;
  plan.pack = [shape, &kernels](const void* raw, float* packed) {
    linear_pack(kernels, shape, static_cast<const float*>(raw), packed);
  };
  const auto operands = [fused](const StepArgs& args, const float* weight) {
    return LinearArgs{args.in(0), weight, args.in(fused.bias), args.in(fused.residual), args.out()};
  };
  plan.run = [=, &kernels](const StepArgs& args) {
    linear(kernels, shape, activation, operands(args, args.packed));
  };
  plan.reference = [=](const StepArgs& args) {
    reference::linear(shape, activation, operands(args, args.in(1)));
  };
  return plan;
}

/// a: ... x M x K; b: ... x K x N, or ... x N x K with the attribute transpose_b; leading axes broadcast.
Plan plan_matmul(Step& step) {
  step.expect_inputs(2, 2);
  step.expect_outputs(1);
  step.expect_types();
  const Shape& a = step.input(0);
  const Shape& b = step.input(1);
  const std::string operands = to_string(a) + " by " + to_string(b);
  step.expect(a.size() >= 2 && b.size() >= 2, "cannot multiply " + operands);
  MatmulShape shape;
  shape.transpose_b = step.flag("transpose_b", false);
  shape.rows = a[a.size() - 2];
  shape.depth = a.back();
  shape.columns = shape.transpose_b ? b[b.size() - 2] : b.back();
  const int64_t b_depth = shape.transpose_b ? b.back() : b[b.size() - 2];
  const std::optional<Shape> batch = broadcast_shape(leading(a), leading(b));
  step.expect(batch.has_value() && b_depth == shape.depth, "cannot multiply " + operands);
  Shape out = *batch;
  out.insert(out.end(), {shape.rows, shape.columns});
  step.expect_output(out);
  shape.a_offsets = batch_offsets(step, *batch, leading(a), shape.rows * shape.depth);
  shape.b_offsets = batch_offsets(step, *batch, leading(b), shape.depth * shape.columns);

  Plan plan;
  const KernelTable& kernels = step.kernels();
  plan.workspace_floats = matmul_workspace_floats(kernels, shape);
  plan.run = [=, &kernels](const StepArgs& args) {
    matmul(kernels, shape, args.in(0), args.in(1), args.out(), args.workspace);
  };
  plan.reference = [=](const StepArgs& args) {
    reference::matmul(shape, args.in(0), args.in(1), args.out());
  };
  return plan;
}

}  // namespace

std::vector<OpDefinition> product_ops() { return {{"linear", &plan_linear}, {"matmul", &plan_matmul}}; }

}  // namespace lutra::cpu
