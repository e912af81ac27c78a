#pragma once

#include <cstdint>

#include "cpu/activation.hpp"

namespace lutra::cpu {

/// What an 8-bit number q stands for: scale * (q - zero).
struct Quantisation {
  float scale = 1.0F;
  int32_t zero = 0;
};

/// Scaled sums are kept within this before they are added to each other. It is far beyond what 8 bits hold,
/// and it stands between product and sum, so that no compiler makes one instruction of both: results are the
/// same to the last bit on every machine.
constexpr float kLargestScaled = 0x1p20F;

/// How a sum of products becomes 8-bit, with an optional second operand b:
///
///   y = rint(clamp(limit(sum * multiplier) + limit((b - b_zero) * b_multiplier))) + zero
///
/// where limit keeps values within `kLargestScaled` and rint rounds half to even. (Jacob et al.,
/// "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018, with
/// multipliers in float32.)
struct Requantisation {
  Clamp clamp;  ///< in units of y's scale, around its zero
  int32_t zero = 0;
  int32_t b_zero = 0;
  float b_multiplier = 0.0F;
};

/// The 8-bit operands of a step whose activation is a clamp.
struct QuantisedOperands {
  Quantisation x;
  Quantisation y;
  Quantisation b;  ///< the second operand: a residual, or what is added
  Activation activation = Activation::kNone;

  /// What sums in units of x's scale are multiplied by, to be in units of y's.
  float ratio() const { return x.scale / y.scale; }
  Requantisation requantisation() const;
};

}  // namespace lutra::cpu
