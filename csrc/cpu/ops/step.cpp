#include "cpu/ops/step.hpp"

#include <stdexcept>
#include <utility>

namespace lutra::cpu {

namespace {

// Keeps sums and products of sizes and attributes far from overflow.
constexpr int64_t kLargestAttribute = int64_t{1} << 31;

}  // namespace

Step::Step(size_t index, const StepSpec& spec, std::vector<const TensorSpec*> inputs,
           std::vector<const TensorSpec*> outputs, const KernelTable& kernels)
    : index_(index),
      spec_(spec),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      kernels_(kernels) {}

void Step::fail(const std::string& message) const {
  throw std::invalid_argument("step " + std::to_string(index_) + " (" + spec_.op + "): " + message);
}

void Step::expect_inputs(size_t least, size_t most) const {
  if (inputs_.size() >= least && inputs_.size() <= most) return;
  const std::string range =
      least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
  fail("takes " + range + " inputs, not " + std::to_string(inputs_.size()));
}

void Step::expect_outputs(size_t count) const {
  expect(outputs_.size() == count,
         "has " + std::to_string(count) + " outputs, not " + std::to_string(outputs_.size()));
}

void Step::expect_rank(size_t i, size_t rank, std::string_view layout) const {
  expect(input(i).size() == rank,
         "input '" + inputs_[i]->name + "' must be " + std::string(layout) + ", not " + to_string(input(i)));
}

void Step::expect_input(size_t i, const Shape& shape, std::string_view what) const {
  expect(input(i) == shape, std::string(what) + " '" + inputs_[i]->name + "' must be " + to_string(shape) +
                                ", not " + to_string(input(i)));
}

void Step::expect_output(const Shape& shape, size_t i) const {
  expect(output(i) == shape,
         "output '" + outputs_[i]->name + "' must be " + to_string(shape) + ", not " + to_string(output(i)));
}

void Step::expect_type(const TensorSpec& tensor, DType wanted, const char* kind) const {
  expect(tensor.dtype == wanted, std::string(kind) + " '" + tensor.name + "' must be " +
                                     std::string(dtype_name(wanted)) + ", not " +
                                     std::string(dtype_name(tensor.dtype)));
}

void Step::expect_types(std::optional<size_t> integer_input) const {
  for (size_t i = 0; i < inputs_.size(); ++i)
    expect_type(*inputs_[i], integer_input == i ? DType::kInt64 : DType::kFloat32, "input");
  for (const TensorSpec* tensor : outputs_) expect_type(*tensor, DType::kFloat32, "output");
}

void Step::expect_types(const std::vector<DType>& inputs, DType output) const {
  expect_inputs(inputs.size(), inputs.size());
  expect_outputs(1);
  size_t i = 0;
  for (const DType wanted : inputs) expect_type(*inputs_[i++], wanted, "input");
  expect_type(*outputs_[0], output, "output");
}

void Step::expect_constant(size_t i, std::string_view what) const {
  expect(inputs_[i]->role == Role::kConstant,
         std::string(what) + " '" + inputs_[i]->name + "' must be a constant");
}

const Attribute* Step::find(const std::string& name) {
  known_.insert(name);
  const auto found = spec_.attributes.find(name);
  return found == spec_.attributes.end() ? nullptr : &found->second;
}

std::vector<int64_t> Step::ints(const std::string& name, std::vector<int64_t> fallback, size_t count) {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  const auto* given = std::get_if<std::vector<int64_t>>(attribute);
  expect(given != nullptr, "attribute '" + name + "' must be integers");
  std::vector<int64_t> values = *given;
  for (const int64_t value : values)
    expect(value >= -kLargestAttribute && value <= kLargestAttribute,
           "attribute '" + name + "' is out of range: " + std::to_string(value));
  if (count > 0 && values.size() == 1) values.assign(count, values.front());
  if (count == 4 && values.size() == 2) values = {values[0], values[1], values[0], values[1]};
  expect(count == 0 || values.size() == count, "attribute '" + name + "' must be " + std::to_string(count) +
                                                   " integers, not " + std::to_string(values.size()));
  return values;
}

int64_t Step::integer(const std::string& name, int64_t fallback) { return ints(name, {fallback}, 1).front(); }

double Step::real(const std::string& name, double fallback) {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  if (const auto* value = std::get_if<double>(attribute)) return *value;
  const auto* integers = std::get_if<std::vector<int64_t>>(attribute);
  expect(integers != nullptr && integers->size() == 1, "attribute '" + name + "' must be a number");
  return static_cast<double>(integers->front());
}

std::string Step::text(const std::string& name, const std::string& fallback) {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  const auto* value = std::get_if<std::string>(attribute);
  expect(value != nullptr, "attribute '" + name + "' must be a string");
  return *value;
}

size_t Step::axis_of(int64_t value) const {
  const auto rank = static_cast<int64_t>(input().size());
  expect(value >= -rank && value < rank,
         "there is no axis " + std::to_string(value) + " in " + to_string(input()));
  return static_cast<size_t>(value < 0 ? value + rank : value);
}

size_t Step::axis(int64_t fallback) { return axis_of(integer("axis", fallback)); }

Activation Step::activation() {
  const std::string name = text("activation", "none");
  const std::optional<Activation> activation = activation_named(name);
  expect(activation.has_value(), "unknown activation '" + name + "'; known: " + activation_names());
  return *activation;
}

void Step::expect_no_other_attributes() const {
  for (const auto& [name, value] : spec_.attributes)
    expect(known_.contains(name), "unknown attribute '" + name + "'");
}

FusedInputs fused_inputs(const Step& step, int64_t channels) {
  FusedInputs found;
  size_t i = 2;
  if (i < step.input_count() && step.input(i).size() == 1) {
    step.expect_input(i, {channels}, "bias");
    found.bias = i++;
  }
  if (i < step.input_count()) {
    step.expect_input(i, step.output(), "residual");
    found.residual = i++;
  }
  step.expect(i == step.input_count(),
              "takes a bias (rank 1) and then a residual (shaped as the output) as inputs 2 and 3");
  return found;
}

}  // namespace lutra::cpu
