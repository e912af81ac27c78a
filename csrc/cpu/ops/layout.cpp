#include <algorithm>
#include <cstring>
#include <numeric>

#include "cpu/kernels/broadcast.hpp"
#include "cpu/kernels/movement.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/ops/window.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

void expect_one_to_one(const Step& step) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_types();
}

/// Attribute axis (default 1).
Plan plan_concat(Step& step) {
  step.expect_inputs(1, SIZE_MAX);
  step.expect_outputs(1);
  step.expect_types();
  const size_t axis = step.axis(1);
  Shape out = step.input();
  out[axis] = 0;
  std::vector<int64_t> parts;
  for (size_t i = 0; i < step.input_count(); ++i) {
    Shape wanted = step.input();
    if (step.input(i).size() == wanted.size()) wanted[axis] = step.input(i)[axis];
    step.expect_input(i, wanted, "input");
    parts.push_back(product(wanted, axis, wanted.size()));
    out[axis] += wanted[axis];
  }
  step.expect_output(out);
  const int64_t outer = product(out, 0, axis);
  Plan plan;
  plan.run = [=](const StepArgs& args) { concat(outer, parts, args.inputs, args.out()); };
  plan.reference = [=](const StepArgs& args) { reference::concat(outer, parts, args.inputs, args.out()); };
  return plan;
}

/// Attributes: axis (default 1), sizes (optional: the shapes of the outputs say the same).
Plan plan_split(Step& step) {
  step.expect_inputs(1, 1);
  step.expect(step.output_count() >= 1, "has at least one output");
  step.expect_types();
  const size_t axis = step.axis(1);
  const Shape& x = step.input();
  std::vector<int64_t> sizes;
  std::vector<int64_t> parts;
  for (size_t i = 0; i < step.output_count(); ++i) {
    Shape wanted = x;
    if (step.output(i).size() == x.size()) wanted[axis] = step.output(i)[axis];
    step.expect_output(wanted, i);
    sizes.push_back(wanted[axis]);
    parts.push_back(product(wanted, axis, wanted.size()));
  }
  step.expect(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) == x[axis],
              "the outputs do not add up to axis " + std::to_string(axis) + " of " + to_string(x));
  step.expect(step.ints("sizes", sizes) == sizes, "attribute 'sizes' does not agree with the outputs");
  const int64_t outer = product(x, 0, axis);
  Plan plan;
  plan.run = [=](const StepArgs& args) { split(outer, parts, args.in(0), args.outputs); };
  plan.reference = [=](const StepArgs& args) { reference::split(outer, parts, args.in(0), args.outputs); };
  return plan;
}

/// Attributes: axis, start (default 0), end (default: the whole axis), step (default 1).
Plan plan_slice(Step& step) {
  expect_one_to_one(step);
  const size_t axis = step.axis(0);
  const Shape& x = step.input();
  SliceShape shape{.outer = product(x, 0, axis), .length = x[axis], .inner = product(x, axis + 1, x.size())};
  shape.start = step.integer("start", 0);
  shape.step = step.integer("step", 1);
  const int64_t end = std::min(step.integer("end", x[axis]), x[axis]);
  step.expect(shape.start >= 0 && shape.step >= 1 && shape.start < end,
              "nothing lies between start and end of axis " + std::to_string(axis) + " of " + to_string(x));
  shape.count = (end - shape.start + shape.step - 1) / shape.step;
  Shape out = x;
  out[axis] = shape.count;
  step.expect_output(out);
  Plan plan;
  plan.run = [=](const StepArgs& args) { slice(shape, args.in(0), args.out()); };
  plan.reference = [=](const StepArgs& args) { reference::slice(shape, args.in(0), args.out()); };
  return plan;
}

/// Attributes: pads (before every axis, then after), value (default 0).
Plan plan_pad(Step& step) {
  expect_one_to_one(step);
  const size_t rank = step.input().size();
  const std::vector<int64_t> pads = step.ints("pads", std::vector<int64_t>(2 * rank, 0));
  step.expect(pads.size() == 2 * rank, "attribute 'pads' must be " + std::to_string(2 * rank) + " integers");
  expect_at_least(step, pads, 0, "pads");
  PadShape shape{.in = step.input(),
                 .out = step.input(),
                 .before = {pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank)}};
  shape.value = static_cast<float>(step.real("value", 0.0));
  for (size_t i = 0; i < rank; ++i) shape.out[i] += pads[i] + pads[rank + i];
  step.expect_output(shape.out);
  Plan plan;
  plan.run = [=](const StepArgs& args) { pad(shape, args.in(0), args.out()); };
  plan.reference = [=](const StepArgs& args) { reference::pad(shape, args.in(0), args.out()); };
  return plan;
}

/// Attribute groups.
Plan plan_channel_shuffle(Step& step) {
  expect_one_to_one(step);
  const Shape& x = step.input();
  step.expect(x.size() >= 2, "takes N x C x ..., not " + to_string(x));
  const int64_t batch = x[0];
  const int64_t channels = x[1];
  const int64_t inner = product(x, 2, x.size());
  const int64_t groups = step.integer("groups", 0);
  step.expect(groups >= 1 && channels % groups == 0,
              "attribute 'groups' must divide the " + std::to_string(channels) + " channels");
  step.expect_output(x);
  Plan plan;
  plan.run = [=](const StepArgs& args) {
    channel_shuffle(batch, channels, inner, groups, args.in(0), args.out());
  };
  plan.reference = [=](const StepArgs& args) {
    reference::channel_shuffle(batch, channels, inner, groups, args.in(0), args.out());
  };
  return plan;
}

/// Attribute perm: which axis of the input each axis of the output is.
Plan plan_transpose(Step& step) {
  expect_one_to_one(step);
  const Shape x = step.input();
  const std::vector<int64_t> order = step.ints("perm", {});
  std::vector<int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> axes(x.size());
  std::iota(axes.begin(), axes.end(), 0);
  step.expect(sorted == axes, "attribute 'perm' must order the axes of " + to_string(x));
  Shape out;
  for (const int64_t axis : order) out.push_back(x[static_cast<size_t>(axis)]);
  step.expect_output(out);
  const Transpose kernel(x, order);
  Plan plan;
  plan.run = [kernel](const StepArgs& args) { kernel.run(args.in(0), args.out()); };
  plan.reference = [=](const StepArgs& args) { reference::transpose(x, order, args.in(0), args.out()); };
  return plan;
}

/// Attribute shape (optional: the shape of the output says the same).
Plan plan_expand(Step& step) {
  expect_one_to_one(step);
  const Shape from = step.input();
  const Shape to = step.output();
  step.expect(broadcast_shape(from, to) == to, to_string(from) + " does not repeat to " + to_string(to));
  step.expect(step.ints("shape", to) == to, "attribute 'shape' does not agree with the output");
  Plan plan;
  plan.run = [=](const StepArgs& args) { expand(from, to, args.in(0), args.out()); };
  plan.reference = [=](const StepArgs& args) { reference::expand(from, to, args.in(0), args.out()); };
  return plan;
}

/// The same elements in another shape: free between intermediates, a copy elsewhere.
Plan plan_view(Step& step) {
  step.expect_inputs(1, 1);
  step.expect_types({step.input_dtype()}, step.input_dtype());
  step.ignore({"shape", "start_axis"});
  const int64_t count = elements(step.input());
  const auto bytes = static_cast<size_t>(count * dtype_bytes(step.input_dtype()));
  step.expect(elements(step.output()) == count,
              to_string(step.input()) + " does not fit into " + to_string(step.output()));
  Plan plan;
  plan.reuse = Reuse::kView;
  plan.run = [bytes](const StepArgs& args) {
    if (args.inputs[0] != args.outputs[0]) std::memcpy(args.outputs[0], args.inputs[0], bytes);
  };
  plan.reference = plan.run;
  return plan;
}

}  // namespace

std::vector<OpDefinition> layout_ops() {
  return {
      {"concat", &plan_concat},
      {"split", &plan_split},
      {"slice", &plan_slice},
      {"pad", &plan_pad},
      {"channel_shuffle", &plan_channel_shuffle},
      {"transpose", &plan_transpose},
      {"expand", &plan_expand},
      {"reshape", &plan_view},
      {"flatten", &plan_view},
  };
}

}  // namespace lutra::cpu
