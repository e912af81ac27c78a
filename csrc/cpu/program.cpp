#include "cpu/program.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cpu/content.hpp"

namespace lutra::cpu {

namespace {

constexpr int64_t kMaxCopies = 1 << 16;

int64_t floats_to_bytes(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)); }

// A sum that is refused before it can overflow.
class Total {
 public:
  void add(int64_t bytes, int64_t times = 1) {
    if (bytes > kMaxProgramBytes || bytes * times > kMaxProgramBytes - sum_)
      throw std::invalid_argument("the program needs more than " + std::to_string(kMaxProgramBytes >> 30) +
                                  " GiB: use fewer copies or smaller tensors");
    sum_ += bytes * times;
  }
  int64_t bytes() const { return sum_; }

 private:
  int64_t sum_ = 0;
};

int64_t checked_copies(int64_t copies) {
  if (copies < 1 || copies > kMaxCopies)
    throw std::invalid_argument("copies must be 1 to " + std::to_string(kMaxCopies) + ", not " +
                                std::to_string(copies));
  return copies;
}

}  // namespace

Program::Program(const ProgramSpec& spec, int64_t copies, uint64_t seed, Isa isa)
    : graph_(spec, kernel_table(isa)), copies_(checked_copies(copies)), seed_(seed) {
  for (const Graph::Node& node : graph_.nodes())
    workspace_floats_ = std::max(workspace_floats_, node.plan.workspace_floats);
  const IntermediateLayout layout = lay_out(graph_);
  peak_bytes_ = check_size(layout);
  workspace_ = Buffer(floats_to_bytes(workspace_floats_));
  allocate_activations(layout);

  const auto sets = static_cast<size_t>(copies_);
  constants_.resize(sets);
  packed_.resize(sets);
  given_.resize(graph_.tensors().size());
  for (size_t copy = 0; copy < sets; ++copy) {
    constants_[copy].resize(graph_.tensors().size());
    packed_[copy].resize(graph_.nodes().size());
  }
  for (size_t tensor = 0; tensor < graph_.tensors().size(); ++tensor)
    if (graph_.tensors()[tensor].role == Role::kConstant) load_constant(tensor);
  connect();
}

int64_t Program::check_size(const IntermediateLayout& layout) const {
  Total total;
  total.add(layout.arena.bytes);
  total.add(floats_to_bytes(workspace_floats_));
  for (size_t i = 0; i < graph_.tensors().size(); ++i) {
    const Role role = graph_.tensors()[i].role;
    if (role == Role::kConstant && !graph_.only_packed(i)) total.add(graph_.bytes(i), copies_);
    if (role == Role::kInput || role == Role::kOutput) total.add(graph_.bytes(i));
  }
  for (const Graph::Node& node : graph_.nodes()) total.add(floats_to_bytes(node.plan.packed_floats), copies_);
  return total.bytes();
}

void Program::allocate_activations(const IntermediateLayout& layout) {
  arena_ = Buffer(layout.arena.bytes);
  activation_bytes_ = layout.arena.bytes;
  activations_.assign(graph_.tensors().size(), nullptr);
  activation_buffers_.resize(graph_.tensors().size());
  for (size_t i = 0; i < graph_.tensors().size(); ++i) {
    const TensorSpec& spec = graph_.tensors()[i];
    if (spec.role == Role::kConstant) continue;
    if (spec.role == Role::kIntermediate) {
      activations_[i] = arena_.data() + layout.arena.offsets[layout.block_of[i]];
      continue;
    }
    activation_buffers_[i] = Buffer(graph_.bytes(i));
    activations_[i] = activation_buffers_[i].data();
    activation_bytes_ += graph_.bytes(i);
    if (spec.role == Role::kInput)
      fill_random(spec, seed_, 0, graph_.id_limit(i), activations_[i]);
    else
      std::memset(activations_[i], 0, static_cast<size_t>(graph_.bytes(i)));
  }
}

void Program::fill_constant(size_t tensor, int64_t copy, void* data) const {
  if (given_[tensor].data() != nullptr)
    std::memcpy(data, given_[tensor].data(), static_cast<size_t>(graph_.bytes(tensor)));
  else
    fill_random(graph_.tensors()[tensor], seed_, copy, graph_.id_limit(tensor), data);
}

// Brings all copies of a constant, packed or not, to their content.
void Program::load_constant(size_t tensor) {
  const bool keep = !graph_.only_packed(tensor);
  for (size_t copy = 0; copy < constants_.size(); ++copy) {
    Buffer& kept = constants_[copy][tensor];
    if (keep && kept.data() == nullptr) kept = Buffer(graph_.bytes(tensor));
    Buffer passing;
    if (!keep) passing = Buffer(graph_.bytes(tensor));
    Buffer& raw = keep ? kept : passing;
    fill_constant(tensor, static_cast<int64_t>(copy), raw.data());
    for (size_t step = 0; step < graph_.nodes().size(); ++step) {
      const Graph::Node& node = graph_.nodes()[step];
      if (!node.plan.packed_input || node.inputs[*node.plan.packed_input] != tensor) continue;
      Buffer& packed = packed_[copy][step];
      if (packed.data() == nullptr) packed = Buffer(floats_to_bytes(node.plan.packed_floats));
      node.plan.pack(raw.data(), packed.floats());
    }
  }
}

// Fixes every pointer that a run will use.
void Program::connect() {
  args_.resize(constants_.size());
  for (size_t copy = 0; copy < constants_.size(); ++copy)
    for (size_t step = 0; step < graph_.nodes().size(); ++step) {
      const Graph::Node& node = graph_.nodes()[step];
      StepArgs args;
      for (const size_t tensor : node.inputs) {
        const bool constant = graph_.tensors()[tensor].role == Role::kConstant;
        args.inputs.push_back(constant ? constants_[copy][tensor].data() : activations_[tensor]);
      }
      for (const size_t tensor : node.outputs) args.outputs.push_back(activations_[tensor]);
      args.packed = packed_[copy][step].floats();
      args.workspace = workspace_.floats();
      args_[copy].push_back(std::move(args));
    }
}

void Program::run() {
  const std::vector<Graph::Node>& nodes = graph_.nodes();
  for (const std::vector<StepArgs>& args : args_)
    for (size_t step = 0; step < nodes.size(); ++step) nodes[step].plan.run(args[step]);
}

void Program::run_reference() {
  const std::vector<Graph::Node>& nodes = graph_.nodes();
  for (size_t step = 0; step < nodes.size(); ++step) {
    StepArgs args = args_.back()[step];
    Buffer raw;
    if (const std::optional<size_t> packed = nodes[step].plan.packed_input) {
      const size_t tensor = nodes[step].inputs[*packed];
      raw = Buffer(graph_.bytes(tensor));
      fill_constant(tensor, copies_ - 1, raw.data());
      args.inputs[*packed] = raw.data();
    }
    nodes[step].plan.reference(args);
  }
}

size_t Program::tensor_with_role(std::string_view name, Role role, const Shape& shape, DType dtype) const {
  const std::optional<size_t> tensor = graph_.find(name);
  const char* kind = role == Role::kInput ? "input" : "constant";
  if (!tensor || graph_.tensors()[*tensor].role != role)
    throw std::invalid_argument("the program has no " + std::string(kind) + " '" + std::string(name) + "'");
  const TensorSpec& spec = graph_.tensors()[*tensor];
  if (spec.shape != shape || spec.dtype != dtype)
    throw std::invalid_argument(std::string(kind) + " '" + spec.name + "' is " + to_string(spec.shape) + " " +
                                std::string(dtype_name(spec.dtype)) + ", not " + to_string(shape) + " " +
                                std::string(dtype_name(dtype)));
  return *tensor;
}

void Program::set_input(std::string_view name, const Shape& shape, DType dtype, const void* data) {
  const size_t tensor = tensor_with_role(name, Role::kInput, shape, dtype);
  std::memcpy(activations_[tensor], data, static_cast<size_t>(graph_.bytes(tensor)));
}

void Program::set_constant(std::string_view name, const Shape& shape, DType dtype, const void* data) {
  const size_t tensor = tensor_with_role(name, Role::kConstant, shape, dtype);
  if (given_[tensor].data() == nullptr) given_[tensor] = Buffer(graph_.bytes(tensor));
  std::memcpy(given_[tensor].data(), data, static_cast<size_t>(graph_.bytes(tensor)));
  load_constant(tensor);
}

Program::View Program::tensor(std::string_view name) const {
  const std::optional<size_t> tensor = graph_.find(name);
  const Role role = tensor ? graph_.tensors()[*tensor].role : Role::kConstant;
  if (role != Role::kInput && role != Role::kOutput)
    throw std::invalid_argument("the program has no input or output '" + std::string(name) + "'");
  return {&graph_.tensors()[*tensor], activations_[*tensor]};
}

}  // namespace lutra::cpu
