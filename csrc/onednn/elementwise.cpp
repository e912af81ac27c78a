// Functions of single elements, of pairs, of rows and of windows.
#include <utility>

#include "onednn/step.hpp"

namespace lutra::onednn {
namespace {

Operand activation(const StepContext& context, int argument, std::size_t index) {
  const TensorSpec& tensor = context.input(index);
  return {argument, context.input_number(index), context.desc(tensor), context.plain(tensor)};
}

Operand result(const StepContext& context) {
  return {kDst, context.output_number(), context.desc(context.output())};
}

/// A step that reads its first input; its primitive is still to come.
PlannedStep from_source_to_result(const StepContext& context) {
  PlannedStep planned;
  planned.operands.push_back(activation(context, kSrc, 0));
  planned.operands.push_back(result(context));
  return planned;
}

Desc desc_of(const PlannedStep& planned, std::size_t operand) { return planned.operands[operand].desc.get(); }

/// A tensor as an argument of as many axes as `rank`, ones in front of those it has.
Operand widened(const StepContext& context, int argument, std::size_t index, std::size_t rank) {
  const TensorSpec& tensor = context.input(index);
  if (tensor.shape.size() == rank) return activation(context, argument, index);
  Shape shape(rank - tensor.shape.size(), 1);
  shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
  const Shape strides = plain_strides(shape);
  return {argument, context.input_number(index), describe_strided(context.library(), shape, strides),
          describe_strided(context.library(), shape, strides)};
}

/// Scale and shift, where they are given, behind the operands that come before them.
unsigned add_affine(const StepContext& context, std::size_t first, std::vector<Operand>& operands) {
  if (context.integer("affine") == 0) return 0;
  operands.push_back(activation(context, kScale, first));
  operands.push_back(activation(context, kShift, first + 1));
  return kUseScale | kUseShift;
}

Algorithm pooling_named(const std::string& name) {
  if (name == "max") return kPoolingMax;
  return name == "avg_include_padding" ? kPoolingAvgIncludePadding : kPoolingAvgExcludePadding;
}

Algorithm reduction_named(const std::string& name) {
  if (name == "max") return kReductionMax;
  if (name == "min") return kReductionMin;
  return name == "sum" ? kReductionSum : kReductionMean;
}

}  // namespace

PlannedStep plan_eltwise(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned = from_source_to_result(context);
  planned.primitive =
      primitive_desc(context, context.api().eltwise_forward_primitive_desc_create, kForwardInference,
                     eltwise_named(context.text("algorithm")), desc_of(planned, 0), desc_of(planned, 1),
                     context.number("alpha", 0.0F), context.number("beta", 0.0F), post.get());
  return planned;
}

PlannedStep plan_binary(const StepContext& context) {
  const PostProcessing post(context);
  const std::size_t rank = context.output().shape.size();
  PlannedStep planned;
  planned.operands.push_back(widened(context, kSrc, 0, rank));
  planned.operands.push_back(widened(context, kSrc1, 1, rank));
  planned.operands.push_back(result(context));
  planned.primitive = primitive_desc(context, context.api().binary_primitive_desc_create,
                                     binary_named(context.text("algorithm")), desc_of(planned, 0),
                                     desc_of(planned, 1), desc_of(planned, 2), post.get());
  return planned;
}

PlannedStep plan_softmax(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned = from_source_to_result(context);
  planned.primitive = primitive_desc(
      context, context.api().softmax_forward_primitive_desc_create, kForwardInference, kSoftmaxAccurate,
      desc_of(planned, 0), desc_of(planned, 1), static_cast<int>(context.integer("axis")), post.get());
  return planned;
}

PlannedStep plan_layer_normalization(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned = from_source_to_result(context);
  const unsigned flags = add_affine(context, 1, planned.operands);
  planned.primitive = primitive_desc(context, context.api().layer_normalization_forward_primitive_desc_create,
                                     kForwardInference, desc_of(planned, 0), desc_of(planned, 1),
                                     Desc{nullptr}, context.number("epsilon", 1e-5F), flags, post.get());
  return planned;
}

PlannedStep plan_batch_normalization(const StepContext& context) {
  const PostProcessing post(context);
  PlannedStep planned = from_source_to_result(context);
  const unsigned affine = add_affine(context, 1, planned.operands);
  const std::size_t statistics = affine == 0 ? 1 : 3;
  planned.operands.push_back(activation(context, kMean, statistics));
  planned.operands.push_back(activation(context, kVariance, statistics + 1));
  planned.primitive = primitive_desc(context, context.api().batch_normalization_forward_primitive_desc_create,
                                     kForwardInference, desc_of(planned, 0), desc_of(planned, 1),
                                     context.number("epsilon", 1e-5F), affine | kUseGlobalStats, post.get());
  return planned;
}

PlannedStep plan_pooling(const StepContext& context) {
  const PostProcessing post(context);
  const Shape window = context.integers("window");
  const Shape gaps(window.size(), 0);
  PlannedStep planned = from_source_to_result(context);
  planned.primitive =
      primitive_desc(context, context.api().pooling_forward_primitive_desc_create, kForwardInference,
                     pooling_named(context.text("algorithm")), desc_of(planned, 0), desc_of(planned, 1),
                     context.integers("strides").data(), window.data(), gaps.data(),
                     context.integers("pads_begin").data(), context.integers("pads_end").data(), post.get());
  return planned;
}

PlannedStep plan_reduction(const StepContext& context) {
  const PostProcessing post(context);
  Shape kept = context.input(0).shape;
  for (const std::int64_t axis : context.integers("axes")) kept.at(static_cast<std::size_t>(axis)) = 1;
  PlannedStep planned;
  planned.operands.push_back(activation(context, kSrc, 0));
  // Whether reduced axes stay makes no difference in memory.
  planned.operands.push_back(
      {kDst, context.output_number(), describe_strided(context.library(), kept, plain_strides(kept))});
  planned.primitive = primitive_desc(context, context.api().reduction_primitive_desc_create,
                                     reduction_named(context.text("algorithm")), desc_of(planned, 0),
                                     desc_of(planned, 1), 0.0F, 0.0F, post.get());
  return planned;
}

}  // namespace lutra::onednn
