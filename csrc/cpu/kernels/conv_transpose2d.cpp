#include "cpu/kernels/conv_transpose2d.hpp"

#include <algorithm>

#include "cpu/kernels/gemm.hpp"

namespace lutra::cpu {

namespace {

// The indices i in [first, last) for which i * stride + offset lies in [0, size).
struct Span {
  int64_t first;
  int64_t last;
};

Span inside(int64_t offset, int64_t stride, int64_t count, int64_t size) {
  const int64_t first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const int64_t last = offset >= size ? 0 : (size - offset + stride - 1) / stride;
  return {std::min(first, count), std::min(last, count)};
}

}  // namespace

ConvTranspose2d::ConvTranspose2d(const Conv2dShape& shape, Activation activation, const KernelTable& kernels)
    : shape_(shape), activation_(activation), kernels_(kernels) {
  for (int64_t channel = 0; channel < group_inputs(); ++channel)
    offsets_.push_back(channel * shape.window.out_size());
}

int64_t ConvTranspose2d::packed_floats() const {
  return shape_.groups * packed_a_floats(kernels_, product_rows(), group_inputs());
}

int64_t ConvTranspose2d::workspace_floats() const {
  return product_floats() +
         gemm_workspace_floats(kernels_, product_rows(), shape_.window.out_size(), group_inputs());
}

void ConvTranspose2d::pack(const float* weight, float* packed) const {
  const int64_t packed_group = packed_a_floats(kernels_, product_rows(), group_inputs());
  for (int64_t group = 0; group < shape_.groups; ++group)
    pack_a(kernels_, {weight + group * group_inputs() * product_rows(), 1, product_rows()}, product_rows(),
           group_inputs(), packed + group * packed_group);
}

// Adds every tap's contribution of one output channel to its place.
void ConvTranspose2d::scatter(const float* product, float* plane) const {
  const Window2d& w = shape_.window;
  for (int64_t tap = 0; tap < w.taps(); ++tap, product += w.out_size()) {
    const int64_t top = tap / w.kernel_w * w.dilation_h - w.pad_top;
    const int64_t left = tap % w.kernel_w * w.dilation_w - w.pad_left;
    const Span rows = inside(top, w.stride_h, w.out_h, w.in_h);
    const Span columns = inside(left, w.stride_w, w.out_w, w.in_w);
    if (columns.first >= columns.last) continue;
    for (int64_t row = rows.first; row < rows.last; ++row) {
      const float* from = product + row * w.out_w;
      float* to = plane + (top + row * w.stride_h) * w.in_w;
      if (w.stride_w == 1)
        kernels_.accumulate(from + columns.first, to + left + columns.first, columns.last - columns.first);
      else
        for (int64_t c = columns.first; c < columns.last; ++c) to[left + c * w.stride_w] += from[c];
    }
  }
}

void ConvTranspose2d::run(const ConvArgs& args) const {
  const Window2d& window = shape_.window;
  for (int64_t image_group = 0; image_group < shape_.batch * shape_.groups; ++image_group) {
    const int64_t group = image_group % shape_.groups;
    GemmTask task;
    task.rows = product_rows();
    task.columns = window.out_size();
    task.depth = group_inputs();
    task.a = args.packed_weight + group * packed_a_floats(kernels_, task.rows, task.depth);
    task.a_packed = true;
    task.c = args.workspace;
    task.c_row_stride = window.out_size();
    const ColumnSource source{.source = args.x + image_group * group_inputs() * window.out_size(),
                              .offsets = offsets_.data(),
                              .width = window.out_size(),
                              .row_stride = 0,
                              .columns = window.out_size(),
                              .readable_past_end = false};
    gemm(kernels_, task, source, args.workspace + product_floats());
    for (int64_t channel = 0; channel < group_outputs(); ++channel) {
      float* plane = args.y + (image_group * group_outputs() + channel) * window.in_size();
      std::fill_n(plane, window.in_size(), args.bias ? args.bias[group * group_outputs() + channel] : 0.0F);
      scatter(args.workspace + channel * window.taps() * window.out_size(), plane);
      if (activation_ != Activation::kNone) kernels_.activate(activation_, plane, plane, window.in_size());
    }
  }
}

}  // namespace lutra::cpu
