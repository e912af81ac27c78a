#include <algorithm>
#include <stdexcept>

#include "gpu/step.hpp"

namespace lutra::gpu {
namespace {

/// Axes [first, last) that are summed over, of a tensor as it lies in memory.
struct Span {
  std::int64_t outer, length, inner;
};

Span span_of(const Shape& shape, std::size_t first, std::size_t last) {
  return {cpu::product(shape, 0, first), cpu::product(shape, first, last),
          cpu::product(shape, last, shape.size())};
}

/// The reduced part of the input of a reduction.
Span reduced(const StepContext& context) {
  const Shape& shape = context.input(0).shape;
  const bool image = context.op() == "global_avg_pool2d" || context.channels_last();
  if (image && shape.size() == 4 && context.channels_last()) return {shape[0], shape[2] * shape[3], shape[1]};
  if (image) return span_of(shape, 2, 4);
  Shape axes = context.integers("axes");
  for (std::int64_t& axis : axes)
    if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  std::sort(axes.begin(), axes.end());
  for (std::size_t i = 1; i < axes.size(); ++i)
    if (axes[i] != axes[i - 1] + 1) throw std::invalid_argument("axes that are not neighbours");
  if (axes.empty() || axes.front() < 0 || axes.back() >= static_cast<std::int64_t>(shape.size()))
    throw std::invalid_argument("no such axes");
  return span_of(shape, static_cast<std::size_t>(axes.front()), static_cast<std::size_t>(axes.back()) + 1);
}

std::unique_ptr<Step> make_batch_norm(const StepContext& context) {
  const Shape& shape = context.input(0).shape;
  if (shape.size() < 2) throw std::invalid_argument("no channels");
  const std::int64_t count = cpu::elements(shape);
  const std::int64_t inner = context.channels_last() ? 1 : cpu::product(shape, 2, shape.size());
  const bool affine = context.integer("affine", 1) != 0;
  if (context.input_count() != (affine ? 5U : 3U))
    throw std::invalid_argument("stored tensors that do not fit");
  return simple_step([=, launches = context.launches(), channels = shape[1],
                      eps = context.number("eps", 1e-5F)](const Places& places) {
    const auto& in = places.inputs;
    const std::size_t statistics = affine ? 3 : 1;
    launches.batch_norm(in[0], places.outputs[0], affine ? in[1] : 0, affine ? in[2] : 0, in[statistics],
                        in[statistics + 1], count, channels, inner, eps);
  });
}

}  // namespace

std::unique_ptr<Step> make_softmax(const StepContext& context) {
  const Shape& shape = context.input(0).shape;
  const std::size_t axis = context.has("axis") ? context.axis("axis", shape) : shape.size() - 1;
  const Span span = span_of(shape, axis, axis + 1);
  return simple_step([=, launches = context.launches()](const Places& places) {
    launches.softmax(places.inputs[0], places.outputs[0], 0, span.outer * span.inner, span.length, span.inner,
                     Attention{});
  });
}

std::unique_ptr<Step> make_norm(const StepContext& context) {
  if (context.op() == "batch_norm") return make_batch_norm(context);
  const Shape& shape = context.input(0).shape;
  const bool root_mean_square = context.op() == "rms_norm";
  std::int64_t groups = 1;
  std::int64_t inner = 1;
  std::int64_t length = shape.back();
  if (context.op() == "group_norm") {
    groups = context.integer("groups");
    inner = cpu::product(shape, 2, shape.size());
    length = shape.at(1) / groups * inner;
    if (context.channels_last()) throw std::invalid_argument("group norms of images channels last");
  }
  const std::int64_t rows = cpu::elements(shape) / length;
  const std::size_t stored = context.input_count() - 1;
  return simple_step(
      [=, launches = context.launches(), eps = context.number("eps", 1e-5F)](const Places& places) {
        launches.norm(places.inputs[0], places.outputs[0], stored > 0 ? places.inputs[1] : 0,
                      stored > 1 ? places.inputs[2] : 0, rows, length, groups, inner, eps, root_mean_square);
      });
}

std::unique_ptr<Step> make_reduction(const StepContext& context) {
  const Span span = reduced(context);
  const Reduction reduction = context.op() == "max" ? Reduction::kMax : Reduction::kSum;
  const bool mean = context.op() == "mean" || context.op() == "global_avg_pool2d";
  const float factor = mean ? 1.0F / static_cast<float>(span.length) : 1.0F;
  return simple_step([=, launches = context.launches()](const Places& places) {
    launches.reduce(places.inputs[0], places.outputs[0], span.outer, span.length, span.inner, reduction,
                    factor);
  });
}

}  // namespace lutra::gpu
