#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace lutra::cpu {

/// Pointwise functions, alone or fused behind a convolution or linear layer.
enum class Activation {
  kNone,
  kRelu,
  kRelu6,
  kHardSwish,
  kHardSigmoid,
  kSigmoid,
  kSilu,
  kGelu,      ///< x/2 (1 + erf(x / sqrt 2))
  kGeluTanh,  ///< x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kTanh,
  kExp,
  kSqrt,
  kErf,
  kNegative,
  kAbsolute,
};

/// The activation called `name` ("none", "relu", ..., "gelu", "gelu_tanh", ..., "abs"), if there is one.
std::optional<Activation> activation_named(std::string_view name);

/// "none, relu, relu6, ...", for messages.
std::string activation_names();

/// What the matrix kernels apply in registers: min(max(x, low), high).
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

/// True for those activations that are nothing but a clamp; they cost no extra pass over the output.
bool is_clamp(Activation activation);

/// The clamp of `activation`; unbounded where it is not a clamp.
Clamp clamp_of(Activation activation);

}  // namespace lutra::cpu
