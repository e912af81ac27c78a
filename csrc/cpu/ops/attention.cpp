#include "cpu/kernels/attention.hpp"

#include <cmath>

#include "cpu/kernels/broadcast.hpp"
#include "cpu/ops/batch.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

AttentionArgs attention_args(const StepArgs& args) {
  return {args.in(0), args.in(1),    args.in(2), args.inputs.size() > 3 ? args.in(3) : nullptr,
          args.out(), args.workspace};
}

// A mask ends in T x S or 1 x S; its leading axes broadcast to those of the queries.
void read_mask(const Step& step, AttentionShape& shape) {
  const Shape& q = step.input(0);
  const Shape& mask = step.input(3);
  const std::string what = "mask of " + to_string(mask) + " does not broadcast to the scores";
  step.expect(mask.size() >= 2 && mask.size() <= q.size() && mask.back() == shape.keys, what);
  const int64_t rows = mask[mask.size() - 2];
  step.expect(rows == shape.queries || rows == 1, what);
  const Shape own = leading(mask);
  step.expect(broadcast_shape(leading(q), own) == leading(q), what);
  shape.mask_row_stride = rows == 1 ? 0 : shape.keys;
  shape.mask_offsets = batch_offsets(step, leading(q), own, rows * shape.keys);
}

/// q: ... x T x D, k: ... x S x D, v: ... x S x E with equal leading axes. Attributes: causal, scale (0:
/// 1/sqrt D).
Plan plan_sdpa(Step& step) {
  step.expect_inputs(3, 4);
  step.expect_outputs(1);
  step.expect_types();
  const Shape& q = step.input(0);
  const Shape& k = step.input(1);
  const Shape& v = step.input(2);
  const size_t rank = q.size();
  step.expect(rank >= 2, "queries must be ... x T x D, not " + to_string(q));
  Shape keys = q;
  keys[rank - 2] = k.size() == rank ? k[rank - 2] : 0;
  step.expect_input(1, keys, "keys");
  Shape values = keys;
  values[rank - 1] = v.size() == rank ? v[rank - 1] : 0;
  step.expect_input(2, values, "values");
  Shape out = q;
  out[rank - 1] = v[rank - 1];
  step.expect_output(out);

  const double scale = step.real("scale", 0.0);
  AttentionShape shape{.heads = product(q, 0, rank - 2),
                       .queries = q[rank - 2],
                       .keys = k[rank - 2],
                       .width = q[rank - 1],
                       .value_width = v[rank - 1],
                       .causal = step.flag("causal", false)};
  shape.scale = static_cast<float>(scale != 0.0 ? scale : 1.0 / std::sqrt(static_cast<double>(shape.width)));
  if (step.input_count() == 4) read_mask(step, shape);

  Plan plan;
  const KernelTable& kernels = step.kernels();
  plan.workspace_floats = attention_workspace_floats(kernels, shape);
  plan.run = [shape, &kernels](const StepArgs& args) { attention(kernels, shape, attention_args(args)); };
  plan.reference = [shape](const StepArgs& args) { reference::attention(shape, attention_args(args)); };
  return plan;
}

}  // namespace

std::vector<OpDefinition> attention_ops() { return {{"sdpa", &plan_sdpa}}; }

}  // namespace lutra::cpu
