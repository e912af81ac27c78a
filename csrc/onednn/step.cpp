#include "onednn/step.hpp"

#include <stdexcept>
#include <utility>

namespace lutra::onednn {
namespace {

constexpr std::pair<std::string_view, Algorithm> kEltwise[] = {
    {"relu", kRelu},
    {"tanh", kTanh},
    {"abs", kAbs},
    {"sqrt", kSqrt},
    {"linear", kLinear},
    {"hardsigmoid", kHardSigmoid},
    {"logistic", kLogistic},
    {"exp", kExp},
    {"gelu_tanh", kGeluTanh},
    {"swish", kSwish},
    {"clip", kClip},
    {"pow", kPow},
    {"gelu_erf", kGeluErf},
    {"hardswish", kHardSwish},
};

constexpr std::pair<std::string_view, Algorithm> kBinary[] = {
    {"add", kBinaryAdd}, {"sub", kBinarySub}, {"mul", kBinaryMul}, {"div", kBinaryDiv}};

constexpr std::pair<std::string_view, Plan> kPlans[] = {
    {"convolution", plan_convolution},
    {"deconvolution", plan_deconvolution},
    {"inner_product", plan_inner_product},
    {"matmul", plan_matmul},
    {"pooling", plan_pooling},
    {"reduction", plan_reduction},
    {"eltwise", plan_eltwise},
    {"binary", plan_binary},
    {"softmax", plan_softmax},
    {"layer_normalization", plan_layer_normalization},
    {"batch_normalization", plan_batch_normalization},
    {"concat", plan_concat},
    {"reorder", plan_reorder},
    {"transpose", plan_transpose},
    {"slice", plan_slice},
    {"pad", plan_pad},
    {"resampling", plan_resampling},
    {"shuffle", plan_shuffle},
};

template <typename Value, std::size_t Size>
Value named(const std::pair<std::string_view, Value> (&table)[Size], std::string_view name,
            std::string_view kind) {
  for (const auto& [known, value] : table)
    if (known == name) return value;
  throw std::invalid_argument("unknown " + std::string(kind) + " '" + std::string(name) + "'");
}

}  // namespace

StepContext::StepContext(const Environment& environment, const StepSpec& spec,
                         const std::vector<TensorSpec>& tensors,
                         const std::map<std::string, std::size_t, std::less<>>& numbers)
    : environment_(environment), spec_(spec), tensors_(tensors), numbers_(numbers) {}

std::string StepContext::what() const {
  std::string text = spec_.op + " of";
  for (std::size_t i = 0; i < input_count(); ++i) text.append(" ").append(cpu::to_string(input(i).shape));
  return text.append(" to ").append(cpu::to_string(output().shape));
}

std::size_t StepContext::number_of(const std::string& name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end())
    throw std::invalid_argument("step '" + spec_.op + "': there is no tensor '" + name + "'");
  return found->second;
}

std::size_t StepContext::input_number(std::size_t index) const {
  if (index >= spec_.inputs.size())
    throw std::invalid_argument("step '" + spec_.op + "' takes more than " +
                                std::to_string(spec_.inputs.size()) + " input(s)");
  return number_of(spec_.inputs[index]);
}

std::size_t StepContext::output_number() const {
  if (spec_.outputs.size() != 1)
    throw std::invalid_argument("step '" + spec_.op + "' makes one output, not " +
                                std::to_string(spec_.outputs.size()));
  return number_of(spec_.outputs[0]);
}

const cpu::Attribute* StepContext::find(std::string_view name) const {
  const auto found = spec_.attributes.find(std::string(name));
  return found == spec_.attributes.end() ? nullptr : &found->second;
}

std::int64_t StepContext::integer(std::string_view name, std::optional<std::int64_t> otherwise) const {
  if (otherwise && find(name) == nullptr) return *otherwise;
  const Shape values = integers(name);
  if (values.size() != 1)
    throw std::invalid_argument("step '" + spec_.op + "': " + std::string(name) + " must be one integer");
  return values[0];
}

Shape StepContext::integers(std::string_view name) const {
  const cpu::Attribute* found = find(name);
  const auto* values = found == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(found);
  if (values == nullptr)
    throw std::invalid_argument("step '" + spec_.op + "' needs the integers " + std::string(name));
  return *values;
}

float StepContext::number(std::string_view name, float otherwise) const {
  const cpu::Attribute* found = find(name);
  const auto* value = found == nullptr ? nullptr : std::get_if<double>(found);
  return value == nullptr ? otherwise : static_cast<float>(*value);
}

std::string StepContext::text(std::string_view name) const {
  const cpu::Attribute* found = find(name);
  const auto* value = found == nullptr ? nullptr : std::get_if<std::string>(found);
  return value == nullptr ? "" : *value;
}

PostProcessing::PostProcessing(const StepContext& context, MemoryDesc residual)
    : attributes_(create<Attributes>(context.library(), "attributes", context.api().primitive_attr_create)),
      residual_(std::move(residual)) {
  const Library& library = context.library();
  const Api& api = context.api();
  const std::string what = context.what();
  library.check(api.primitive_attr_set_scratchpad_mode(attributes_.get(), kScratchpadOfUser), what);
  const auto operations = create<PostOps>(library, what, api.post_ops_create);
  int count = 0;
  if (const float scale = context.number("scale", 1.0F); scale != 1.0F) {
    library.check(api.post_ops_append_eltwise(operations.get(), kLinear, scale, 0.0F), what);
    ++count;
  }
  if (const std::string kind = context.text("residual"); kind == "sum") {
    library.check(api.post_ops_append_sum(operations.get(), 1.0F, 0, kUndefined), what);
    ++count;
  } else if (kind == "binary") {
    library.check(api.post_ops_append_binary(operations.get(), kBinaryAdd, residual_.get()), what);
    residual_argument_ = (kPostOpBase * (count + 1)) | kSrc1;
    ++count;
  }
  if (const std::string activation = context.text("activation"); !activation.empty())
    library.check(api.post_ops_append_eltwise(operations.get(), eltwise_named(activation),
                                              context.number("alpha", 0.0F), context.number("beta", 0.0F)),
                  what);
  library.check(api.primitive_attr_set_post_ops(attributes_.get(), operations.get()), what);
}

void PostProcessing::add_operand(const StepContext& context, std::vector<Operand>& operands) {
  if (residual_argument_ == 0) return;
  const std::size_t last = context.input_number(context.input_count() - 1);
  MemoryDesc plain = copy_of(context.library(), residual_.get());
  operands.push_back({residual_argument_, last, std::move(residual_), std::move(plain)});
}

Algorithm eltwise_named(std::string_view name) { return named(kEltwise, name, "activation"); }

Algorithm binary_named(std::string_view name) { return named(kBinary, name, "algorithm"); }

PlannedStep plan_step(const StepContext& context, std::string_view op) {
  return named(kPlans, op, "op")(context);
}

}  // namespace lutra::onednn
