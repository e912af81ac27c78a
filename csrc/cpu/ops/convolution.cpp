#include "cpu/ops/convolution.hpp"
#include "cpu/kernels/blocked_conv2d.hpp"
#include "cpu/kernels/conv2d.hpp"
#include "cpu/kernels/conv_transpose2d.hpp"
#include "cpu/ops/blocked.hpp"
#include "cpu/ops/quantised.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/ops/window.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

void expect_groups(const Step& step, int64_t groups, int64_t in_channels, int64_t out_channels) {
  step.expect(groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0,
              std::to_string(groups) + " groups do not divide " + std::to_string(in_channels) + " -> " +
                  std::to_string(out_channels) + " channels");
}

int64_t output_size(const Step& step, int64_t in, int64_t extent, int64_t stride, int64_t padding) {
  step.expect(in + padding >= extent, "the kernel spans " + std::to_string(extent) +
                                          " pixels, the padded input only " + std::to_string(in + padding));
  return (in + padding - extent) / stride + 1;
}

}  // namespace

ConvAttributes::ConvAttributes(Step& step, size_t rank)
    : stride(step.ints("stride", std::vector<int64_t>(rank, 1), rank)),
      padding(step.ints("padding", std::vector<int64_t>(2 * rank, 0), 2 * rank)),
      dilation(step.ints("dilation", std::vector<int64_t>(rank, 1), rank)),
      groups(step.integer("groups", 1)) {
  step.ignore({"out_channels", "kernel_size", "bias"});
  expect_at_least(step, stride, 1, "stride");
  expect_at_least(step, padding, 0, "padding");
  expect_at_least(step, dilation, 1, "dilation");
  if (rank == 2) return;
  stride.insert(stride.begin(), 1);
  dilation.insert(dilation.begin(), 1);
  padding = {0, padding[0], 0, padding[1]};
}

Conv2dShape conv_shape(const Step& step, const ConvAttributes& attributes, const Shape& x,
                       const Shape& weight) {
  Conv2dShape shape{.batch = x[0],
                    .in_channels = x[1],
                    .out_channels = weight[0],
                    .groups = attributes.groups,
                    .window = {}};
  expect_groups(step, shape.groups, shape.in_channels, shape.out_channels);
  Shape wanted = step.input(1);
  wanted[1] = shape.in_channels / shape.groups;
  step.expect_input(1, wanted, "weight");

  const std::vector<int64_t>& pad = attributes.padding;
  Window2d& w = shape.window;
  w = {.in_h = x[2],
       .in_w = x[3],
       .kernel_h = weight[2],
       .kernel_w = weight[3],
       .stride_h = attributes.stride[0],
       .stride_w = attributes.stride[1],
       .pad_top = pad[0],
       .pad_left = pad[1],
       .dilation_h = attributes.dilation[0],
       .dilation_w = attributes.dilation[1]};
  w.out_h = output_size(step, w.in_h, kernel_extent(w.kernel_h, w.dilation_h), w.stride_h, pad[0] + pad[2]);
  w.out_w = output_size(step, w.in_w, kernel_extent(w.kernel_w, w.dilation_w), w.stride_w, pad[1] + pad[3]);
  expect_stageable(step, w, shape.in_channels / shape.groups);
  return shape;
}

namespace {

// `reference` takes reference::ConvArgs.
template <class Kernel, class Reference>
Plan convolution_plan(const Kernel& kernel, const FusedInputs& fused, Reference reference) {
  Plan plan;
  plan.workspace_floats = kernel.workspace_floats();
  plan.packed_floats = kernel.packed_floats();
  plan.packed_input = 1;
  plan.pack = [kernel](const void* raw, float* packed) {
    kernel.pack(static_cast<const float*>(raw), packed);
  };
  plan.run = [kernel, fused](const StepArgs& args) {
    kernel.run(
        {args.in(0), args.packed, args.in(fused.bias), args.in(fused.residual), args.out(), args.workspace});
  };
  plan.reference = [=](const StepArgs& args) {
    reference({args.in(0), args.in(1), args.in(fused.bias), args.in(fused.residual), args.out()});
  };
  return plan;
}

// A one-dimensional convolution is a two-dimensional one over images of one row.
Shape as_image(const Shape& shape) {
  return shape.size() == 3 ? Shape{shape[0], shape[1], 1, shape[2]} : shape;
}

void expect_conv(const Step& step, size_t rank) {
  step.expect_inputs(2, 4);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_constant(1, "weight");
  step.expect_rank(1, rank + 2, rank == 2 ? "O x C/groups x KH x KW" : "O x C/groups x K");
}

Plan plan_conv(Step& step, size_t rank) {
  expect_conv(step, rank);
  step.expect_rank(0, rank + 2, rank == 2 ? "N x C x H x W" : "N x C x L");
  const ConvAttributes attributes(step, rank);
  const Conv2dShape shape = conv_shape(step, attributes, as_image(step.input(0)), as_image(step.input(1)));
  const Window2d& w = shape.window;
  step.expect_output(rank == 2 ? Shape{shape.batch, shape.out_channels, w.out_h, w.out_w}
                               : Shape{shape.batch, shape.out_channels, w.out_w});
  const FusedInputs fused = fused_inputs(step, shape.out_channels);
  const Activation activation = step.activation();
  const auto reference = [=](const reference::ConvArgs& args) { reference::conv2d(shape, activation, args); };
  if (shape.depthwise())
    return convolution_plan(DepthwiseConv2d(shape, activation, step.kernels()), fused, reference);
  return convolution_plan(Conv2d(shape, activation, step.kernels()), fused, reference);
}

// The input may still be plain, as an image that enters a network is; output and residual are in blocks.
Plan plan_blocked_conv(Step& step) {
  expect_conv(step, 2);
  const ConvAttributes attributes(step, 2);
  const bool plain = step.input().size() == 4;
  step.expect(attributes.groups <= kMaxTensorBytes / step.input(1)[1], "too many groups");
  const Shape x = plain ? step.input() : plain_shape(step, step.input(1)[1] * attributes.groups);
  const Conv2dShape shape = conv_shape(step, attributes, x, step.input(1));
  const Window2d& w = shape.window;
  step.expect_output(blocked_shape({shape.batch, shape.out_channels, w.out_h, w.out_w}));
  step.expect(has_blocked_form(shape) && !(plain && shape.depthwise()),
              "this convolution has no form in blocks: leave out the attribute 'layout'");
  expect_listable(step, w);
  const FusedInputs fused = fused_inputs(step, shape.out_channels);
  const Activation activation = step.activation();
  const auto reference = [=](const reference::ConvArgs& args) {
    reference::blocked_conv2d(shape, plain, activation, args);
  };
  if (shape.depthwise())
    return convolution_plan(BlockedDepthwise(shape, activation, step.kernels()), fused, reference);
  return convolution_plan(BlockedConv2d(shape, plain, activation, step.kernels()), fused, reference);
}

/// x: N x C x L or N x C x H x W; weight: O x C/groups x K...; optional bias: O; optional residual: as the
/// output. Attributes: stride, padding (before every axis, then after), dilation, groups, activation; of
/// images also layout: "nchw", or "nchw8c" for an output in blocks.
Plan plan_conv1d(Step& step) { return plan_conv(step, 1); }
Plan plan_conv2d(Step& step) {
  if (step.quantised()) return plan_quantised_conv2d(step);
  return is_blocked(step) ? plan_blocked_conv(step) : plan_conv(step, 2);
}

/// x: N x C x H x W; weight: C x O/groups x KH x KW; optional bias: O. Attributes: stride, padding and
/// output_padding (height, width), dilation, groups, activation.
Plan plan_conv_transpose2d(Step& step) {
  step.expect_inputs(2, 3);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_constant(1, "weight");
  step.expect_rank(0, 4, "N x C x H x W");
  step.expect_rank(1, 4, "C x O/groups x KH x KW");
  const std::vector<int64_t> padding = step.ints("padding", {0, 0}, 2);
  const std::vector<int64_t> extra = step.ints("output_padding", {0, 0}, 2);
  const std::vector<int64_t> stride = step.ints("stride", {1, 1}, 2);
  const std::vector<int64_t> dilation = step.ints("dilation", {1, 1}, 2);
  step.ignore({"out_channels", "kernel_size", "bias"});
  expect_at_least(step, padding, 0, "padding");
  expect_at_least(step, extra, 0, "output_padding");
  expect_at_least(step, stride, 1, "stride");
  expect_at_least(step, dilation, 1, "dilation");
  const Shape& x = step.input(0);
  const Shape& weight = step.input(1);
  const int64_t groups = step.integer("groups", 1);
  expect_groups(step, groups, x[1], x[1]);
  step.expect_input(1, {x[1], weight[1], weight[2], weight[3]}, "weight");
  step.expect(weight[1] <= kMaxTensorBytes / groups, "too many output channels");

  Conv2dShape shape{
      .batch = x[0], .in_channels = x[1], .out_channels = weight[1] * groups, .groups = groups, .window = {}};
  Window2d& w = shape.window;
  const auto size = [&](size_t i) {
    return (x[i + 2] - 1) * stride[i] - 2 * padding[i] + kernel_extent(weight[i + 2], dilation[i]) + extra[i];
  };
  w = {.in_h = size(0),
       .in_w = size(1),
       .kernel_h = weight[2],
       .kernel_w = weight[3],
       .stride_h = stride[0],
       .stride_w = stride[1],
       .pad_top = padding[0],
       .pad_left = padding[1],
       .dilation_h = dilation[0],
       .dilation_w = dilation[1],
       .out_h = x[2],
       .out_w = x[3]};
  step.expect_output({shape.batch, shape.out_channels, w.in_h, w.in_w});
  const FusedInputs fused = fused_inputs(step, shape.out_channels);
  step.expect(!fused.residual, "takes no residual");
  const Activation activation = step.activation();
  return convolution_plan(
      ConvTranspose2d(shape, activation, step.kernels()), fused,
      [=](const reference::ConvArgs& args) { reference::conv_transpose2d(shape, activation, args); });
}

}  // namespace

std::vector<OpDefinition> convolution_ops() {
  return {{"conv1d", &plan_conv1d}, {"conv2d", &plan_conv2d}, {"conv_transpose2d", &plan_conv_transpose2d}};
}

}  // namespace lutra::cpu
