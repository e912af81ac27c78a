#include "cpu/kernels/blocked_pool2d.hpp"
#include "cpu/kernels/pool2d.hpp"

#include "cpu/kernels/reduce.hpp"
#include "cpu/ops/quantised.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/ops/window.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

void expect_image(const Step& step) {
  step.expect_inputs(1, 1);
  const DType dtype = step.quantised() ? DType::kUint8 : DType::kFloat32;
  step.expect_types({dtype}, dtype);
  const Shape& x = step.input();
  step.expect(x.size() == 4 || (x.size() == 5 && x[4] == kChannelBlock),
              "takes N x C x H x W or N x C/8 x H x W x 8, not " + to_string(x));
}

// The output for an input of rank 4, or of rank 5 in blocks.
Shape pooled_shape(const Shape& x, int64_t out_h, int64_t out_w) {
  Shape out = x;
  out[2] = out_h;
  out[3] = out_w;
  return out;
}

Plan pool_plan(Step& step, const PoolShape& shape) {
  if (step.quantised()) return plan_quantised_pool(step, shape);
  Plan plan;
  if (step.input().size() == 5) {
    const BlockedPool2d pool(shape, step.kernels());
    plan.run = [pool](const StepArgs& args) { pool.run(args.in(0), args.out()); };
    plan.reference = [shape](const StepArgs& args) {
      reference::blocked_pool2d(shape, args.in(0), args.out());
    };
    return plan;
  }
  const Pool2d pool(shape, step.kernels());
  plan.workspace_floats = pool.workspace_floats();
  plan.run = [pool](const StepArgs& args) { pool.run(args.in(0), args.out(), args.workspace); };
  plan.reference = [shape](const StepArgs& args) { reference::pool2d(shape, args.in(0), args.out()); };
  return plan;
}

// The average over whole images, as a window of their size.
Plan whole_window_plan(Step& step) {
  const Shape& x = step.input();
  const Window2d whole{.in_h = x[2], .in_w = x[3], .kernel_h = x[2], .kernel_w = x[3]};
  return pool_plan(step, {.kind = PoolKind::kAverage, .planes = x[0] * x[1], .window = whole});
}

struct PoolAxis {
  int64_t in, kernel, stride, before, after;
};

int64_t pooled_size(const Step& step, const PoolAxis& axis, bool ceil_mode) {
  const int64_t room = axis.in + axis.before + axis.after - axis.kernel;
  step.expect(room >= 0, "the window spans " + std::to_string(axis.kernel) +
                             " pixels, the padded input only " + std::to_string(room + axis.kernel));
  step.expect(2 * std::max(axis.before, axis.after) <= axis.kernel, "padding is over half of the window");
  int64_t out = (room + (ceil_mode ? axis.stride - 1 : 0)) / axis.stride + 1;
  // A window that would begin in the padding behind the image is dropped, as torch and ONNX do.
  if (ceil_mode && (out - 1) * axis.stride >= axis.in + axis.before) --out;
  return out;
}

Plan plan_pool(Step& step, PoolKind kind) {
  expect_image(step);
  const Shape& x = step.input();
  step.expect(step.has("kernel_size"), "needs the attribute 'kernel_size'");
  const std::vector<int64_t> window = step.ints("kernel_size", {}, 2);
  const std::vector<int64_t> stride = step.ints("stride", {1, 1}, 2);
  const std::vector<int64_t> padding = step.ints("padding", {0, 0, 0, 0}, 4);
  const bool ceil_mode = step.flag("ceil_mode", false);
  expect_at_least(step, window, 1, "kernel_size");
  expect_at_least(step, stride, 1, "stride");
  expect_at_least(step, padding, 0, "padding");

  PoolShape shape{
      .kind = kind, .planes = x[0] * x[1], .window = {}, .pad_bottom = padding[2], .pad_right = padding[3]};
  if (kind == PoolKind::kAverage) shape.count_padding = step.flag("count_include_pad", true);
  shape.window = {.in_h = x[2],
                  .in_w = x[3],
                  .kernel_h = window[0],
                  .kernel_w = window[1],
                  .stride_h = stride[0],
                  .stride_w = stride[1],
                  .pad_top = padding[0],
                  .pad_left = padding[1]};
  Window2d& w = shape.window;
  w.out_h = pooled_size(step, {w.in_h, w.kernel_h, w.stride_h, padding[0], padding[2]}, ceil_mode);
  w.out_w = pooled_size(step, {w.in_w, w.kernel_w, w.stride_w, padding[1], padding[3]}, ceil_mode);
  step.expect_output(pooled_shape(x, w.out_h, w.out_w));
  expect_stageable(step, w, 1);
  return pool_plan(step, shape);
}

/// Attributes: kernel_size, stride, padding (top, left, bottom, right), ceil_mode; averages:
/// count_include_pad.
Plan plan_max_pool(Step& step) { return plan_pool(step, PoolKind::kMax); }
Plan plan_average_pool(Step& step) { return plan_pool(step, PoolKind::kAverage); }

/// Attribute output_size (optional: the shape of the output says the same).
Plan plan_adaptive_pool(Step& step) {
  step.expect_types({DType::kFloat32}, DType::kFloat32);
  const Shape& x = step.input();
  step.expect_rank(0, 4, "N x C x H x W");
  step.expect(step.output().size() == 4, "the output must be N x C x H x W");
  const std::vector<int64_t> size{step.output()[2], step.output()[3]};
  step.expect(step.ints("output_size", size, 2) == size,
              "attribute 'output_size' does not agree with the output");
  step.expect_output({x[0], x[1], size[0], size[1]});
  const AdaptivePoolShape shape{
      .planes = x[0] * x[1], .in_h = x[2], .in_w = x[3], .out_h = size[0], .out_w = size[1]};
  Plan plan;
  plan.workspace_floats = adaptive_pool_workspace_floats(shape);
  plan.run = [=, &kernels = step.kernels()](const StepArgs& args) {
    adaptive_average_pool(kernels, shape, args.in(0), args.out(), args.workspace);
  };
  plan.reference = [=](const StepArgs& args) {
    reference::adaptive_average_pool(shape, args.in(0), args.out());
  };
  return plan;
}

Plan plan_global_pool(Step& step) {
  expect_image(step);
  const Shape x = step.input();
  step.expect_output(pooled_shape(x, 1, 1));
  if (x.size() == 5 || step.quantised()) return whole_window_plan(step);
  const float scale = 1.0F / static_cast<float>(x[2] * x[3]);
  const Reduce reduce(x, {2, 3}, Reduction::kSum, scale, step.kernels());
  Plan plan;
  plan.workspace_floats = reduce.workspace_floats();
  plan.run = [reduce](const StepArgs& args) { reduce.run(args.in(0), args.out(), args.workspace); };
  plan.reference = [=](const StepArgs& args) {
    reference::reduce(x, {2, 3}, Reduction::kSum, scale, args.in(0), args.out());
  };
  return plan;
}

}  // namespace

std::vector<OpDefinition> pooling_ops() {
  return {{"max_pool2d", &plan_max_pool},
          {"avg_pool2d", &plan_average_pool},
          {"adaptive_avg_pool2d", &plan_adaptive_pool},
          {"global_avg_pool2d", &plan_global_pool}};
}

}  // namespace lutra::cpu
