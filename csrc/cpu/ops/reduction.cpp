#include <algorithm>

#include "cpu/kernels/reduce.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

/// Attributes: axes (negative ones count from the end), keepdims (default true).
Plan plan_reduce(Step& step, Reduction reduction, bool mean) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_types();
  const Shape x = step.input();
  std::vector<int64_t> axes;
  for (const int64_t axis : step.ints("axes", {})) axes.push_back(static_cast<int64_t>(step.axis_of(axis)));
  std::sort(axes.begin(), axes.end());
  step.expect(!axes.empty() && std::adjacent_find(axes.begin(), axes.end()) == axes.end(),
              "attribute 'axes' must name at least one axis, and none twice");
  const bool keep = step.flag("keepdims", true);
  Shape out;
  int64_t count = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    if (reduced) count *= x[i];
    if (!reduced || keep) out.push_back(reduced ? 1 : x[i]);
  }
  step.expect_output(out);
  const float scale = mean ? 1.0F / static_cast<float>(count) : 1.0F;
  const Reduce reduce(x, axes, reduction, scale, step.kernels());
  Plan plan;
  plan.workspace_floats = reduce.workspace_floats();
  plan.run = [reduce](const StepArgs& args) { reduce.run(args.in(0), args.out(), args.workspace); };
  plan.reference = [=](const StepArgs& args) {
    reference::reduce(x, axes, reduction, scale, args.in(0), args.out());
  };
  return plan;
}

Plan plan_mean(Step& step) { return plan_reduce(step, Reduction::kSum, true); }
Plan plan_sum(Step& step) { return plan_reduce(step, Reduction::kSum, false); }
Plan plan_max(Step& step) { return plan_reduce(step, Reduction::kMax, false); }

}  // namespace

std::vector<OpDefinition> reduction_ops() {
  return {{"mean", &plan_mean}, {"sum", &plan_sum}, {"max", &plan_max}};
}

}  // namespace lutra::cpu
