#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "cpu/ops/step.hpp"
#include "cpu/planner.hpp"
#include "cpu/program_spec.hpp"

namespace lutra::cpu {

/// A program with names resolved and every step checked: what can be known before memory is allocated.
class Graph {
 public:
  struct Node {
    std::vector<size_t> inputs;  ///< tensors
    std::vector<size_t> outputs;
    Plan plan;
  };

  /// Throws std::invalid_argument where the program is not well-formed: see Program.
  Graph(const ProgramSpec& spec, const KernelTable& kernels);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  int64_t bytes(size_t tensor) const { return bytes_[tensor]; }
  int64_t id_limit(size_t tensor) const { return id_limits_[tensor]; }
  std::optional<size_t> find(std::string_view name) const;
  /// Whether every step that reads this constant packs it, so that its own bytes are not needed for a run.
  bool only_packed(size_t tensor) const;

 private:
  void add_tensor(const TensorSpec& tensor);
  void add_step(const StepSpec& step, const KernelTable& kernels);
  size_t resolve(const std::string& name, size_t step, const StepSpec& spec) const;
  void read(size_t tensor, const Step& step) const;
  void write(size_t tensor, const Step& step);
  void check_written() const;

  std::vector<TensorSpec> tensors_;
  std::vector<int64_t> bytes_;
  std::vector<int64_t> id_limits_;
  std::vector<bool> written_;
  std::vector<Node> nodes_;
};

/// Where the intermediates live. Tensors that share memory (views and in-place results) share a block.
struct IntermediateLayout {
  static constexpr size_t kNone = static_cast<size_t>(-1);

  std::vector<size_t> block_of;  ///< by tensor; kNone for other roles
  ArenaLayout arena;             ///< offsets by block
};

IntermediateLayout lay_out(const Graph& graph);

}  // namespace lutra::cpu
