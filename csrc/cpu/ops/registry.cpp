#include "cpu/ops/registry.hpp"

#include <algorithm>

namespace lutra::cpu {

namespace {

std::vector<OpDefinition> collect() {
  std::vector<OpDefinition> ops;
  for (const auto& family :
       {attention_ops(), blocked_ops(), convolution_ops(), elementwise_ops(), layout_ops(),
        normalisation_ops(), pooling_ops(), product_ops(), quantised_ops(), reduction_ops(), sampling_ops()})
    ops.insert(ops.end(), family.begin(), family.end());
  std::sort(ops.begin(), ops.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return ops;
}

}  // namespace

const std::vector<OpDefinition>& all_ops() {
  static const std::vector<OpDefinition> ops = collect();
  return ops;
}

std::vector<std::string> supported_ops() {
  std::vector<std::string> names;
  for (const OpDefinition& op : all_ops()) names.push_back(op.name);
  return names;
}

Plan plan_step(Step& step) {
  for (const OpDefinition& op : all_ops()) {
    if (op.name != step.op()) continue;
    Plan plan = op.plan(step);
    step.expect_no_other_attributes();
    return plan;
  }
  std::string known;
  for (const std::string& name : supported_ops()) known += (known.empty() ? "" : ", ") + name;
  step.fail("unknown op; known: " + known);
}

}  // namespace lutra::cpu
