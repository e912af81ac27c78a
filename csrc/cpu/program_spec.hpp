#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "cpu/tensor.hpp"

namespace lutra::cpu {

enum class Role {
  kInput,         ///< set by the caller; keeps its content
  kConstant,      ///< weights: one set per copy of the program
  kIntermediate,  ///< shares memory with others that are not needed at the same time
  kOutput,        ///< read by the caller
};

/// "input", "constant", "intermediate" or "output"; throws std::invalid_argument for every other name.
Role role_named(std::string_view name);

struct TensorSpec {
  std::string name;
  Shape shape;
  DType dtype = DType::kFloat32;
  Role role = Role::kIntermediate;
};

/// Integers and flags are vectors of one element.
using Attribute = std::variant<std::vector<int64_t>, double, std::string>;

/// One operation. Names, attributes and the order of weights follow the op catalogue: activations first, then
/// the weights of the op (weight, bias, ...), then what is fused into it.
struct StepSpec {
  std::string op;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, Attribute> attributes;
};

/// Steps run in their order.
struct ProgramSpec {
  std::vector<TensorSpec> tensors;
  std::vector<StepSpec> steps;
};

}  // namespace lutra::cpu
