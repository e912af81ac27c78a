#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "xnnpack/library.hpp"

namespace lutra::xnnpack {

using Shape = std::vector<std::size_t>;

enum class Role { kInput, kOutput, kConstant, kInternal };

/// One float32 tensor of a graph.
struct ValueSpec {
  std::string name;
  Shape shape;
  Role role = Role::kInternal;
  const float* data = nullptr;  ///< Of a constant; must outlive the graph and every runtime made from it.
};

/// Integers (a lone one is a list of one), or a real number.
using Attribute = std::variant<std::vector<std::int64_t>, double>;

/// One operator, by the name behind "xnn_define_".
struct NodeSpec {
  std::string op;
  std::vector<std::string> inputs;  ///< "" for an optional one that is left out.
  std::vector<std::string> outputs;
  std::map<std::string, Attribute> attributes;
};

struct GraphSpec {
  std::vector<ValueSpec> values;
  std::vector<NodeSpec> nodes;
};

/// A subgraph in XNNPACK's hands, built from a description.
class Graph {
 public:
  /// @throws std::invalid_argument for an unknown operator, value or attribute; std::runtime_error naming the
  /// operator if XNNPACK lacks or refuses it.
  Graph(const Library& library, const GraphSpec& spec);

  [[nodiscard]] XnnSubgraph* get() const { return subgraph_.get(); }
  [[nodiscard]] const Library& library() const { return library_; }
  /// XNNPACK's number of a value; that of "" is "no value".
  [[nodiscard]] std::uint32_t id(const std::string& name) const;

 private:
  struct Delete {
    const Api* api = nullptr;
    void operator()(XnnSubgraph* subgraph) const noexcept { api->delete_subgraph(subgraph); }
  };

  void define(const ValueSpec& value, std::uint32_t& externals);

  const Library& library_;
  std::unique_ptr<XnnSubgraph, Delete> subgraph_;
  std::map<std::string, std::uint32_t> ids_;
};

/// Adds one operator.
/// @throws as the constructor of `Graph`.
void define_node(const Graph& graph, const NodeSpec& node);

/// Names of the operators that `define_node` knows.
std::vector<std::string> known_operators();

}  // namespace lutra::xnnpack
