#include "cpu/kernels/conv2d.hpp"

#include <algorithm>

#include "cpu/kernels/gemm.hpp"

namespace lutra::cpu {

Conv2d::Conv2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels)
    : shape_(shape), activation_(activation), kernels_(kernels), stage_(shape.window) {
  const int64_t plane = shape.pointwise() ? shape.window.in_size() : stage_.plane_floats();
  for (int64_t channel = 0; channel < group_inputs(); ++channel)
    for (const int64_t tap : stage_.tap_offsets()) offsets_.push_back(channel * plane + tap);
}

int64_t Conv2d::packed_floats() const {
  return shape_.groups * packed_a_floats(kernels_, group_outputs(), depth());
}

// Kernels read whole vectors, so one panel's width past the last plane must be readable.
int64_t Conv2d::staged_floats() const {
  return shape_.pointwise() ? 0 : whole_lines(group_inputs() * stage_.plane_floats() + kernels_.gemm_columns);
}

int64_t Conv2d::workspace_floats() const {
  return staged_floats() +
         gemm_workspace_floats(kernels_, group_outputs(), shape_.window.out_size(), depth());
}

void Conv2d::pack(const float* weight, float* packed) const {
  const int64_t packed_group = packed_a_floats(kernels_, group_outputs(), depth());
  for (int64_t group = 0; group < shape_.groups; ++group)
    pack_a(kernels_, {weight + group * group_outputs() * depth(), depth(), 1}, group_outputs(), depth(),
           packed + group * packed_group);
}

ColumnSource Conv2d::columns_of(const float* x, float* staged) const {
  const Window2d& window = shape_.window;
  ColumnSource source{.source = x,
                      .offsets = offsets_.data(),
                      .width = window.out_size(),
                      .row_stride = 0,
                      .columns = window.out_size(),
                      .readable_past_end = false};
  if (shape_.pointwise()) return source;
  for (int64_t channel = 0; channel < group_inputs(); ++channel)
    stage_.copy(kernels_, x + channel * window.in_size(), staged + channel * stage_.plane_floats());
  source.source = staged;
  source.width = window.out_w;
  source.row_stride = stage_.output_row_stride();
  source.readable_past_end = true;
  return source;
}

void Conv2d::run(const ConvArgs& args) const {
  const int64_t out_size = shape_.window.out_size();
  float* const staged = args.workspace;
  float* const panels = args.workspace + staged_floats();
  // Only the padding must be zero, and no copy ever writes there: once is enough for all planes.
  std::fill_n(staged, staged_floats(), 0.0F);
  for (int64_t image_group = 0; image_group < shape_.batch * shape_.groups; ++image_group) {
    const int64_t group = image_group % shape_.groups;
    const int64_t first_output = image_group * group_outputs() * out_size;
    GemmTask task;
    task.rows = group_outputs();
    task.columns = out_size;
    task.depth = depth();
    task.a = args.packed_weight + group * packed_a_floats(kernels_, task.rows, task.depth);
    task.a_packed = true;
    task.c = args.y + first_output;
    task.c_row_stride = out_size;
    task.row_bias = args.bias ? args.bias + group * task.rows : nullptr;
    task.residual = args.residual ? args.residual + first_output : nullptr;
    task.activation = activation_;
    const float* x = args.x + image_group * group_inputs() * shape_.window.in_size();
    gemm(kernels_, task, columns_of(x, staged), panels);
  }
}

DepthwiseConv2d::DepthwiseConv2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels)
    : shape_(shape), activation_(activation), kernels_(kernels), stage_(shape.window) {}

int64_t DepthwiseConv2d::workspace_floats() const { return stage_.plane_floats() + kernels_.lanes; }

void DepthwiseConv2d::pack(const float* weight, float* packed) const {
  std::copy_n(weight, packed_floats(), packed);
}

void DepthwiseConv2d::run(const ConvArgs& args) const {
  const Window2d& window = shape_.window;
  const int64_t multiplier = shape_.out_channels / shape_.in_channels;
  std::fill_n(args.workspace, workspace_floats(), 0.0F);
  WindowRows rows = stage_.rows(args.workspace);
  rows.clamp = clamp_of(activation_);
  for (int64_t plane = 0; plane < shape_.batch * shape_.out_channels; ++plane) {
    const int64_t channel = plane % shape_.out_channels;
    if (plane % multiplier == 0)
      stage_.copy(kernels_, args.x + plane / multiplier * window.in_size(), args.workspace);
    rows.weights = args.packed_weight + channel * window.taps();
    rows.bias = args.bias ? args.bias[channel] : 0.0F;
    rows.add = args.residual ? args.residual + plane * window.out_size() : nullptr;
    rows.out = args.y + plane * window.out_size();
    kernels_.window_weighted(rows);
    if (!is_clamp(activation_)) kernels_.activate(activation_, rows.out, rows.out, window.out_size());
  }
}

}  // namespace lutra::cpu
