#include "xnnpack/graph.hpp"

#include <algorithm>
#include <stdexcept>

namespace lutra::xnnpack {
namespace {

bool is_external(const ValueSpec& value) { return value.role == Role::kInput || value.role == Role::kOutput; }

XnnSubgraph* create(const Library& library, const GraphSpec& spec) {
  const auto externals = std::count_if(spec.values.begin(), spec.values.end(), is_external);
  XnnSubgraph* subgraph = nullptr;
  library.check(library.api().create_subgraph(static_cast<std::uint32_t>(externals), 0, &subgraph),
                "xnn_create_subgraph");
  return subgraph;
}

}  // namespace

Graph::Graph(const Library& library, const GraphSpec& spec)
    : library_(library), subgraph_(create(library, spec), Delete{&library.api()}) {
  std::uint32_t externals = 0;
  for (const ValueSpec& value : spec.values) define(value, externals);
  for (const NodeSpec& node : spec.nodes) define_node(*this, node);
}

std::uint32_t Graph::id(const std::string& name) const {
  if (name.empty()) return kNoValue;
  const auto found = ids_.find(name);
  if (found == ids_.end()) throw std::invalid_argument("no value is called '" + name + "'");
  return found->second;
}

void Graph::define(const ValueSpec& value, std::uint32_t& externals) {
  if (value.role == Role::kConstant && value.data == nullptr)
    throw std::invalid_argument("constant '" + value.name + "' has no content");
  std::uint32_t id = kNoValue;
  std::uint32_t flags = 0;
  if (value.role == Role::kInput) flags = kExternalInput;
  if (value.role == Role::kOutput) flags = kExternalOutput;
  const std::uint32_t external = is_external(value) ? externals++ : kNoValue;
  const void* data = value.role == Role::kConstant ? value.data : nullptr;
  library_.check(library_.api().define_tensor_value(subgraph_.get(), kFp32, value.shape.size(),
                                                    value.shape.data(), data, external, flags, &id),
                 "value '" + value.name + "'");
  if (!ids_.emplace(value.name, id).second)
    throw std::invalid_argument("two values are called '" + value.name + "'");
}

}  // namespace lutra::xnnpack
