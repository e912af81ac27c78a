// Convolutions and matrix products: weights lie as the primitive prefers.
#include <stdexcept>
#include <utility>

#include "onednn/step.hpp"

namespace lutra::onednn {
namespace {

/// How given weights read as the primitive names their axes.
struct Weights {
  Shape shape;
  Shape strides;
};

Shape joined(std::initializer_list<std::int64_t> head, const Shape& tail) {
  Shape all(head);
  all.insert(all.end(), tail.begin(), tail.end());
  return all;
}

Shape window_of(const Shape& weight) { return {weight.begin() + 2, weight.end()}; }

/// Given as filters x channels of a group x window.
Weights convolution_weights(const Shape& given, std::int64_t groups) {
  const Shape window = window_of(given);
  const Shape shape = groups == 1 ? given : joined({groups, given[0] / groups, given[1]}, window);
  return {shape, plain_strides(shape)};
}

/// Given as channels x filters of a group x window, with the channels group by group.
Weights deconvolution_weights(const Shape& given, std::int64_t groups) {
  const Shape window = window_of(given);
  const Shape steps = plain_strides(given);
  const Shape window_steps(steps.begin() + 2, steps.end());
  const std::int64_t channels = given[0] / groups;
  if (groups == 1) return {joined({given[1], channels}, window), joined({steps[1], steps[0]}, window_steps)};
  return {joined({groups, given[1], channels}, window),
          joined({channels * steps[0], steps[1], steps[0]}, window_steps)};
}

/// Adds the weights as `primitive` wants them, and the bias behind them.
void add_weights(const StepContext& context, const Weights& weights, PlannedStep& planned) {
  const Library& library = context.library();
  const Desc wanted = context.api().primitive_desc_query_md(planned.primitive.get(), kExecArgDesc, kWeights);
  planned.operands.push_back({kWeights, context.input_number(1), copy_of(library, wanted),
                              describe_strided(library, weights.shape, weights.strides)});
  if (context.integer("bias", 0) == 0) return;
  const TensorSpec& bias = context.input(2);
  planned.operands.push_back({kBias, context.input_number(2), context.desc(bias), context.plain(bias)});
}

MemoryDesc bias_desc(const StepContext& context) {
  return context.integer("bias", 0) == 0 ? MemoryDesc() : context.desc(context.input(2));
}

/// The residual, where it is read for itself, in the layout of its tensor.
MemoryDesc residual_desc(const StepContext& context) {
  if (context.text("residual") != "binary") return {};
  return context.desc(context.input(context.input_count() - 1));
}

/// A tensor's rows: all axes but the last joined into one.
MemoryDesc rows_of(const StepContext& context, const TensorSpec& tensor) {
  const std::int64_t columns = tensor.shape.back();
  const Shape shape = {cpu::elements(tensor.shape) / columns, columns};
  return describe_strided(context.library(), shape, plain_strides(shape));
}

/// A plain tensor with as many axes as `rank`, ones in front; its last two exchanged on demand.
MemoryDesc matrix_of(const StepContext& context, const TensorSpec& tensor, std::size_t rank,
                     bool transposed) {
  Shape shape(rank - tensor.shape.size(), 1);
  shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
  Shape strides = plain_strides(shape);
  if (transposed) {
    std::swap(shape[rank - 1], shape[rank - 2]);
    std::swap(strides[rank - 1], strides[rank - 2]);
  }
  return describe_strided(context.library(), shape, strides);
}

Shape less_one(Shape values) {
  for (std::int64_t& value : values) --value;  // oneDNN counts the gaps between the taps
  return values;
}

using WindowPrimitive = decltype(Api::convolution_forward_primitive_desc_create);

/// A convolution, straight or transposed.
PlannedStep plan_window(const StepContext& context, const Weights& weights, WindowPrimitive function,
                        Algorithm algorithm) {
  const Library& library = context.library();
  MemoryDesc src = context.desc(context.input(0));
  MemoryDesc dst = context.desc(context.output());
  const MemoryDesc any = describe_any(library, weights.shape);
  const MemoryDesc bias = bias_desc(context);
  PostProcessing post(context, residual_desc(context));
  PlannedStep planned;
  planned.primitive = primitive_desc(
      context, function, kForwardInference, algorithm, src.get(), any.get(), bias.get(), dst.get(),
      context.integers("strides").data(), less_one(context.integers("dilations")).data(),
      context.integers("pads_begin").data(), context.integers("pads_end").data(), post.get());
  planned.operands.push_back({kSrc, context.input_number(0), std::move(src)});
  add_weights(context, weights, planned);
  planned.operands.push_back({kDst, context.output_number(), std::move(dst)});
  post.add_operand(context, planned.operands);
  return planned;
}

}  // namespace

PlannedStep plan_convolution(const StepContext& context) {
  const Weights weights = convolution_weights(context.input(1).shape, context.integer("groups"));
  return plan_window(context, weights, context.api().convolution_forward_primitive_desc_create,
                     kConvolutionDirect);
}

PlannedStep plan_deconvolution(const StepContext& context) {
  const Weights weights = deconvolution_weights(context.input(1).shape, context.integer("groups"));
  return plan_window(context, weights, context.api().deconvolution_forward_primitive_desc_create,
                     kDeconvolutionDirect);
}

PlannedStep plan_inner_product(const StepContext& context) {
  const Library& library = context.library();
  const Shape& given = context.input(1).shape;
  const Weights weights = {given, plain_strides(given)};
  const MemoryDesc any = describe_any(library, given);
  const MemoryDesc bias = bias_desc(context);
  const bool binary = context.text("residual") == "binary";
  PostProcessing post(context,
                      binary ? rows_of(context, context.input(context.input_count() - 1)) : MemoryDesc());
  MemoryDesc src = rows_of(context, context.input(0));
  MemoryDesc dst = rows_of(context, context.output());
  PlannedStep planned;
  planned.primitive =
      primitive_desc(context, context.api().inner_product_forward_primitive_desc_create, kForwardInference,
                     src.get(), any.get(), bias.get(), dst.get(), post.get());
  planned.operands.push_back({kSrc, context.input_number(0), std::move(src)});
  add_weights(context, weights, planned);
  planned.operands.push_back({kDst, context.output_number(), std::move(dst)});
  post.add_operand(context, planned.operands);
  return planned;
}

PlannedStep plan_matmul(const StepContext& context) {
  const std::size_t rank = context.output().shape.size();
  const bool transposed = context.integer("transposed", 0) != 0;
  const PostProcessing post(context);
  PlannedStep planned;
  planned.operands.push_back({kSrc, context.input_number(0),
                              matrix_of(context, context.input(0), rank, false),
                              matrix_of(context, context.input(0), rank, false)});
  planned.operands.push_back({kWeights, context.input_number(1),
                              matrix_of(context, context.input(1), rank, transposed),
                              matrix_of(context, context.input(1), rank, transposed)});
  planned.operands.push_back({kDst, context.output_number(), context.desc(context.output())});
  planned.primitive = primitive_desc(
      context, context.api().matmul_primitive_desc_create, Desc{planned.operands[0].desc.get()},
      Desc{planned.operands[1].desc.get()}, Desc{nullptr}, Desc{planned.operands[2].desc.get()}, post.get());
  return planned;
}

}  // namespace lutra::onednn
