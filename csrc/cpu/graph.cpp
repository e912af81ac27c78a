#include "cpu/graph.hpp"

#include <algorithm>
#include <stdexcept>

#include "cpu/ops/registry.hpp"

namespace lutra::cpu {

Role role_named(std::string_view name) {
  if (name == "input") return Role::kInput;
  if (name == "constant") return Role::kConstant;
  if (name == "intermediate") return Role::kIntermediate;
  if (name == "output") return Role::kOutput;
  throw std::invalid_argument("unknown role '" + std::string(name) +
                              "'; known: input, constant, intermediate, output");
}

Graph::Graph(const ProgramSpec& spec, const KernelTable& kernels) {
  for (const TensorSpec& tensor : spec.tensors) add_tensor(tensor);
  if (spec.steps.empty()) throw std::invalid_argument("a program needs at least one step");
  for (const StepSpec& step : spec.steps) add_step(step, kernels);
  check_written();
}

std::optional<size_t> Graph::find(std::string_view name) const {
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (tensors_[i].name == name) return i;
  return std::nullopt;
}

bool Graph::only_packed(size_t tensor) const {
  bool packed = false;
  for (const Node& node : nodes_)
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != tensor) continue;
      if (node.plan.packed_input != i) return false;
      packed = true;
    }
  return packed;
}

void Graph::add_tensor(const TensorSpec& tensor) {
  if (find(tensor.name)) throw std::invalid_argument("two tensors are called '" + tensor.name + "'");
  bytes_.push_back(checked_bytes(tensor.shape, tensor.dtype, "tensor '" + tensor.name + "'"));
  id_limits_.push_back(0);
  written_.push_back(tensor.role == Role::kInput || tensor.role == Role::kConstant);
  tensors_.push_back(tensor);
}

size_t Graph::resolve(const std::string& name, size_t step, const StepSpec& spec) const {
  const std::optional<size_t> tensor = find(name);
  if (!tensor)
    throw std::invalid_argument("step " + std::to_string(step) + " (" + spec.op + "): there is no tensor '" +
                                name + "'");
  return *tensor;
}

void Graph::read(size_t tensor, const Step& step) const {
  step.expect(written_[tensor], "tensor '" + tensors_[tensor].name + "' is read before any step writes it");
}

void Graph::write(size_t tensor, const Step& step) {
  const TensorSpec& spec = tensors_[tensor];
  step.expect(spec.role == Role::kIntermediate || spec.role == Role::kOutput,
              "tensor '" + spec.name + "' is an input or a constant and cannot be written");
  step.expect(!written_[tensor], "tensor '" + spec.name + "' is written twice");
  written_[tensor] = true;
}

void Graph::add_step(const StepSpec& spec, const KernelTable& kernels) {
  const size_t index = nodes_.size();
  Node node;
  std::vector<const TensorSpec*> inputs;
  std::vector<const TensorSpec*> outputs;
  for (const std::string& name : spec.inputs) {
    node.inputs.push_back(resolve(name, index, spec));
    inputs.push_back(&tensors_[node.inputs.back()]);
  }
  for (const std::string& name : spec.outputs) {
    node.outputs.push_back(resolve(name, index, spec));
    outputs.push_back(&tensors_[node.outputs.back()]);
  }
  Step step(index, spec, inputs, outputs, kernels);
  for (const size_t tensor : node.inputs) read(tensor, step);
  for (const size_t tensor : node.outputs) write(tensor, step);
  node.plan = plan_step(step);
  if (node.plan.id_limit > 0) {
    int64_t& limit = id_limits_[node.inputs.front()];
    limit = limit == 0 ? node.plan.id_limit : std::min(limit, node.plan.id_limit);
  }
  nodes_.push_back(std::move(node));
}

void Graph::check_written() const {
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (!written_[i]) throw std::invalid_argument("no step writes tensor '" + tensors_[i].name + "'");
}

namespace {

// Builds the blocks of memory that intermediates share.
class BlockBuilder {
 public:
  explicit BlockBuilder(const Graph& graph) : graph_(graph) {
    layout_.block_of.assign(graph.tensors().size(), IntermediateLayout::kNone);
    last_read_.assign(graph.tensors().size(), 0);
    for (size_t step = 0; step < graph.nodes().size(); ++step)
      for (const size_t tensor : graph.nodes()[step].inputs) last_read_[tensor] = step;
  }

  IntermediateLayout build() {
    for (size_t step = 0; step < graph_.nodes().size(); ++step)
      for (size_t i = 0; i < graph_.nodes()[step].outputs.size(); ++i) place(step, i);
    layout_.arena = plan_arena(blocks_);
    return std::move(layout_);
  }

 private:
  bool is_intermediate(size_t tensor) const { return graph_.tensors()[tensor].role == Role::kIntermediate; }

  void place(size_t step, size_t output) {
    const Graph::Node& node = graph_.nodes()[step];
    const size_t tensor = node.outputs[output];
    if (!is_intermediate(tensor)) return;
    const size_t last = std::max(step, last_read_[tensor]);
    if (output == 0 && may_share(node, step)) {
      const size_t block = layout_.block_of[node.inputs.front()];
      layout_.block_of[tensor] = block;
      blocks_[block].last = std::max(blocks_[block].last, last);
      return;
    }
    layout_.block_of[tensor] = blocks_.size();
    blocks_.push_back({graph_.bytes(tensor), step, last});
  }

  // A view shares always; an in-place result only if nothing reads the block, by any name, after this step.
  bool may_share(const Graph::Node& node, size_t step) const {
    if (node.plan.reuse == Reuse::kNone || !is_intermediate(node.inputs.front())) return false;
    return node.plan.reuse == Reuse::kView || blocks_[layout_.block_of[node.inputs.front()]].last <= step;
  }

  const Graph& graph_;
  IntermediateLayout layout_;
  std::vector<size_t> last_read_;
  std::vector<Lifetime> blocks_;
};

}  // namespace

IntermediateLayout lay_out(const Graph& graph) { return BlockBuilder(graph).build(); }

}  // namespace lutra::cpu
