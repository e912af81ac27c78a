#include "cpu/activation.hpp"

#include <array>
#include <utility>

namespace lutra::cpu {

namespace {

constexpr std::array<std::pair<std::string_view, Activation>, 15> kNames{{
    {"none", Activation::kNone},
    {"relu", Activation::kRelu},
    {"relu6", Activation::kRelu6},
    {"hard_swish", Activation::kHardSwish},
    {"hard_sigmoid", Activation::kHardSigmoid},
    {"sigmoid", Activation::kSigmoid},
    {"silu", Activation::kSilu},
    {"gelu", Activation::kGelu},
    {"gelu_tanh", Activation::kGeluTanh},
    {"tanh", Activation::kTanh},
    {"exp", Activation::kExp},
    {"sqrt", Activation::kSqrt},
    {"erf", Activation::kErf},
    {"neg", Activation::kNegative},
    {"abs", Activation::kAbsolute},
}};

}  // namespace

std::optional<Activation> activation_named(std::string_view name) {
  for (const auto& [known, activation] : kNames)
    if (known == name) return activation;
  return std::nullopt;
}

std::string activation_names() {
  std::string names;
  for (const auto& [known, activation] : kNames) names += (names.empty() ? "" : ", ") + std::string(known);
  return names;
}

bool is_clamp(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu ||
         activation == Activation::kRelu6;
}

Clamp clamp_of(Activation activation) {
  Clamp clamp;
  if (activation == Activation::kRelu || activation == Activation::kRelu6) clamp.low = 0.0F;
  if (activation == Activation::kRelu6) clamp.high = 6.0F;
  return clamp;
}

}  // namespace lutra::cpu
