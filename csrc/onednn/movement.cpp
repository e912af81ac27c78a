// Layouts changed, tensors joined, cut, turned and resized. What only moves elements is a reorder between two
// descriptions, one of which reads a part of a tensor or its axes in another order.
#include <stdexcept>
#include <utility>

#include "onednn/step.hpp"

namespace lutra::onednn {
namespace {

PlannedStep moved(const StepContext& context, MemoryDesc from, MemoryDesc to) {
  const PostProcessing post(context);
  PlannedStep planned;
  planned.primitive =
      create<PrimitiveDesc>(context.library(), context.what(), context.api().reorder_primitive_desc_create,
                            Desc{from.get()}, context.engine(), Desc{to.get()}, context.engine(), post.get());
  planned.operands.push_back({kSrc, context.input_number(0), std::move(from)});
  planned.operands.push_back({kDst, context.output_number(), std::move(to)});
  return planned;
}

Shape offsets_at(std::size_t rank, std::size_t axis, std::int64_t start) {
  Shape offsets(rank, 0);
  offsets.at(axis) = start;
  return offsets;
}

// Every so many elements of an axis: the axis reads as two, of which the inner one is cut to one element.
PlannedStep plan_stepped_slice(const StepContext& context, std::size_t axis, std::int64_t step) {
  const Library& library = context.library();
  Shape whole = context.input(0).shape;
  Shape part = context.output().shape;
  const auto inner = static_cast<std::ptrdiff_t>(axis) + 1;
  whole.at(axis) /= step;
  whole.insert(whole.begin() + inner, step);
  part.insert(part.begin() + inner, 1);
  const MemoryDesc source = describe_strided(library, whole, plain_strides(whole));
  const Shape offsets = offsets_at(whole.size(), axis + 1, context.integer("start"));
  return moved(context, describe_part(library, source.get(), part, offsets),
               describe_strided(library, part, plain_strides(part)));
}

}  // namespace

PlannedStep plan_reorder(const StepContext& context) {
  return moved(context, context.desc(context.input(0)), context.desc(context.output()));
}

PlannedStep plan_transpose(const StepContext& context) {
  const Shape& shape = context.input(0).shape;
  const Shape strides = plain_strides(shape);
  Shape turned;
  Shape steps;
  for (const std::int64_t axis : context.integers("perm")) {
    turned.push_back(shape.at(static_cast<std::size_t>(axis)));
    steps.push_back(strides.at(static_cast<std::size_t>(axis)));
  }
  return moved(context, describe_strided(context.library(), turned, steps), context.desc(context.output()));
}

PlannedStep plan_slice(const StepContext& context) {
  if (const std::int64_t step = context.integer("step", 1); step > 1)
    return plan_stepped_slice(context, static_cast<std::size_t>(context.integer("axis")), step);
  const MemoryDesc whole = context.desc(context.input(0));
  const Shape& shape = context.output().shape;
  const auto axis = static_cast<std::size_t>(context.integer("axis"));
  const Shape offsets = offsets_at(shape.size(), axis, context.integer("start"));
  return moved(context, describe_part(context.library(), whole.get(), shape, offsets),
               context.desc(context.output()));
}

PlannedStep plan_pad(const StepContext& context) {
  const MemoryDesc whole = context.desc(context.output());
  const Shape& shape = context.input(0).shape;
  return moved(context, context.desc(context.input(0)),
               describe_part(context.library(), whole.get(), shape, context.integers("pads_begin")));
}

PlannedStep plan_concat(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned;
  std::vector<Desc> sources;
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const TensorSpec& tensor = context.input(i);
    planned.operands.push_back({kMultipleSrc + static_cast<int>(i), context.input_number(i),
                                context.desc(tensor), context.plain(tensor)});
    sources.push_back(planned.operands.back().desc.get());
  }
  planned.operands.push_back({kDst, context.output_number(), context.desc(context.output())});
  planned.primitive =
      primitive_desc(context, context.api().concat_primitive_desc_create,
                     Desc{planned.operands.back().desc.get()}, static_cast<int>(sources.size()),
                     static_cast<int>(context.integer("axis")), sources.data(), post.get());
  return planned;
}

PlannedStep plan_resampling(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned;
  planned.operands.push_back({kSrc, context.input_number(0), context.desc(context.input(0))});
  planned.operands.push_back({kDst, context.output_number(), context.desc(context.output())});
  const Algorithm algorithm = context.text("algorithm") == "nearest" ? kResamplingNearest : kResamplingLinear;
  planned.primitive =
      primitive_desc(context, context.api().resampling_forward_primitive_desc_create, kForwardInference,
                     algorithm, static_cast<const float*>(nullptr), Desc{planned.operands[0].desc.get()},
                     Desc{planned.operands[1].desc.get()}, post.get());
  return planned;
}

PlannedStep plan_shuffle(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned;
  planned.operands.push_back({kSrc, context.input_number(0), context.desc(context.input(0))});
  planned.operands.push_back({kDst, context.output_number(), context.desc(context.output())});
  planned.primitive =
      primitive_desc(context, context.api().shuffle_forward_primitive_desc_create, kForwardInference,
                     Desc{planned.operands[0].desc.get()}, Desc{planned.operands[1].desc.get()},
                     static_cast<int>(context.integer("axis")), context.integer("group_size"), post.get());
  return planned;
}

}  // namespace lutra::onednn
