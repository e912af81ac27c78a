#include "gpu/step.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace lutra::gpu {
namespace {

constexpr std::array kMovements = {"transpose", "concat",          "split",    "slice",     "pad",
                                   "expand",    "channel_shuffle", "relayout", "embedding", "cast"};
constexpr std::array kNorms = {"layer_norm", "rms_norm", "group_norm", "batch_norm"};
constexpr std::array kReductions = {"mean", "sum", "max", "global_avg_pool2d"};
constexpr std::array kPools = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"};
constexpr std::array kBinaries = {"add", "sub", "mul", "div", "pow"};

template <std::size_t N>
bool among(const std::array<const char*, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Strides with which `from` is read as `to`: the axes of both end together, those of size 1 are repeated.
Shape broadcast_strides(const StepContext& context, const Shape& from, const Shape& to) {
  const Shape own = context.strides(from);
  Shape strides(to.size(), 0);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::size_t at = to.size() - from.size() + i;
    if (from[i] == to[at]) strides[at] = own[i];
  }
  return strides;
}

std::unique_ptr<Step> make_binary(const StepContext& context) {
  const Launches launches = context.launches();
  const Binary function = binary_named(context.op());
  const Shape& shape = context.output().shape;
  if (context.input(0).shape == shape && context.input(1).shape == shape)
    return simple_step([=, count = cpu::elements(shape)](const Places& places) {
      launches.binary(places.inputs[0], places.inputs[1], places.outputs[0], count, function);
    });
  const Shape first = broadcast_strides(context, context.input(0).shape, shape);
  const Shape second = broadcast_strides(context, context.input(1).shape, shape);
  const Shape own = context.strides(shape);
  std::vector<std::size_t> order(shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return own[a] > own[b]; });
  std::vector<Axis> axes;
  for (const std::size_t i : order) axes.push_back({shape[i], first[i], second[i]});
  return simple_step([=](const Places& places) {
    launches.binary(places.inputs[0], places.inputs[1], places.outputs[0], axes, function);
  });
}

std::unique_ptr<Step> make_unary(const StepContext& context) {
  Function function;
  const bool by_tanh = context.op() == "gelu" && context.text("approximate") == "tanh";
  function.kind = unary_named(by_tanh ? "gelu_tanh" : context.op());
  constexpr float kLargest = std::numeric_limits<float>::infinity();
  if (function.kind == Unary::kLeakyRelu) function.a = context.number("slope", 0.01F);
  if (function.kind == Unary::kClip) {
    function.a = context.number("low", -kLargest);
    function.b = context.number("high", kLargest);
  }
  return simple_step([=, launches = context.launches(),
                      count = cpu::elements(context.output().shape)](const Places& places) {
    launches.unary(places.inputs[0], places.outputs[0], count, function);
  });
}

}  // namespace

StepContext::StepContext(const Libraries& libraries, const StepSpec& spec,
                         const std::vector<TensorSpec>& tensors,
                         const std::map<std::string, std::size_t, std::less<>>& numbers)
    : libraries_(libraries), spec_(spec), tensors_(tensors), numbers_(numbers) {
  for (const auto* names : {&spec.inputs, &spec.outputs})
    for (const std::string& name : *names) static_cast<void>(tensor(name));
  if (spec.outputs.empty()) throw std::invalid_argument(spec.op + " makes nothing");
}

const std::shared_ptr<const Blas>& StepContext::blas() const {
  if (!libraries_.blas) throw std::runtime_error(what() + " needs cuBLASLt: " + libraries_.blas_missing);
  return libraries_.blas;
}

const std::shared_ptr<const Dnn>& StepContext::dnn() const {
  if (!libraries_.dnn) throw std::runtime_error(what() + " needs cuDNN: " + libraries_.dnn_missing);
  return libraries_.dnn;
}

std::string StepContext::what() const {
  std::string text = spec_.op;
  for (const std::string& name : spec_.inputs) text.append(" ").append(cpu::to_string(tensor(name).shape));
  return text.append(" -> ").append(cpu::to_string(output().shape));
}

const TensorSpec& StepContext::tensor(const std::string& name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end()) throw std::invalid_argument(spec_.op + " names no tensor: '" + name + "'");
  return tensors_[found->second];
}

const TensorSpec& StepContext::input(std::size_t index) const {
  if (index >= spec_.inputs.size()) throw std::invalid_argument(spec_.op + " lacks an input");
  return tensor(spec_.inputs[index]);
}

const TensorSpec& StepContext::output(std::size_t index) const { return tensor(spec_.outputs.at(index)); }

const cpu::Attribute* StepContext::find(std::string_view name) const {
  const auto found = spec_.attributes.find(std::string(name));
  return found == spec_.attributes.end() ? nullptr : &found->second;
}

std::int64_t StepContext::integer(std::string_view name, std::optional<std::int64_t> otherwise) const {
  const cpu::Attribute* found = find(name);
  if (found == nullptr && otherwise) return *otherwise;
  const Shape values = integers(name);
  if (values.size() != 1)
    throw std::invalid_argument(spec_.op + ": " + std::string(name) + " must be one number");
  return values[0];
}

Shape StepContext::integers(std::string_view name) const {
  const cpu::Attribute* found = find(name);
  const auto* values = found != nullptr ? std::get_if<std::vector<std::int64_t>>(found) : nullptr;
  if (values == nullptr)
    throw std::invalid_argument(spec_.op + " needs whole numbers as " + std::string(name));
  return *values;
}

float StepContext::number(std::string_view name, float otherwise) const {
  const cpu::Attribute* found = find(name);
  if (found == nullptr) return otherwise;
  if (const auto* value = std::get_if<double>(found)) return static_cast<float>(*value);
  return static_cast<float>(integer(name));
}

std::string StepContext::text(std::string_view name) const {
  const cpu::Attribute* found = find(name);
  const auto* value = found != nullptr ? std::get_if<std::string>(found) : nullptr;
  return value != nullptr ? *value : "";
}

std::size_t StepContext::axis(std::string_view name, const Shape& shape) const {
  const std::int64_t given = integer(name);
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (given < -rank || given >= rank)
    throw std::invalid_argument(spec_.op + " has no axis " + std::to_string(given));
  return static_cast<std::size_t>(given < 0 ? given + rank : given);
}

Function StepContext::activation() const {
  const std::string name = text("activation");
  return name.empty() ? Function{} : Function{.kind = unary_named(name)};
}

Shape StepContext::strides_of(const Shape& shape, bool channels_last) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  if (!channels_last || shape.size() != 4) return strides;
  return {shape[1] * shape[2] * shape[3], 1, shape[1] * shape[3], shape[1]};
}

std::unique_ptr<Step> make_step(const StepContext& context) {
  const std::string& op = context.op();
  try {
    if (op == "conv2d" || op == "conv1d") return make_convolution(context);
    if (op == "linear") return make_linear(context);
    if (op == "matmul") return make_matmul(context);
    if (op == "sdpa") return make_attention(context);
    if (op == "softmax") return make_softmax(context);
    if (op == "upsample") return make_upsample(context);
    if (among(kPools, op)) return make_pool(context);
    if (among(kNorms, op)) return make_norm(context);
    if (among(kReductions, op)) return make_reduction(context);
    if (among(kMovements, op)) return make_movement(context);
    if (among(kBinaries, op)) return make_binary(context);
    if (op == "quantise" || op == "dequantise") return make_conversion(context);
    return make_unary(context);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(context.what() + ": " + error.what());
  }
}

}  // namespace lutra::gpu
