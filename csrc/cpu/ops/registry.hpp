#pragma once

#include <string>
#include <vector>

#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// An op that programs may use. `plan` checks a step against the op and prepares its execution.
struct OpDefinition {
  std::string name;
  Plan (*plan)(Step& step);
};

/// Every known op, sorted by name.
const std::vector<OpDefinition>& all_ops();

/// Names of `all_ops()`.
std::vector<std::string> supported_ops();

/// Checks one step and prepares it. Throws std::invalid_argument for an unknown op or whatever the op
/// refuses.
Plan plan_step(Step& step);

// What the files of this folder contribute. A new file adds a line here and one in registry.cpp.
std::vector<OpDefinition> attention_ops();
std::vector<OpDefinition> blocked_ops();
std::vector<OpDefinition> convolution_ops();
std::vector<OpDefinition> elementwise_ops();
std::vector<OpDefinition> layout_ops();
std::vector<OpDefinition> normalisation_ops();
std::vector<OpDefinition> pooling_ops();
std::vector<OpDefinition> product_ops();
std::vector<OpDefinition> quantised_ops();
std::vector<OpDefinition> reduction_ops();
std::vector<OpDefinition> sampling_ops();

}  // namespace lutra::cpu
