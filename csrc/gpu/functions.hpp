#pragma once

#include <cstdint>
#include <string_view>

// Arguments of our kernels, as csrc/gpu/kernels declares them.

namespace lutra::gpu {

enum class Unary : int {
  kIdentity,
  kRelu,
  kRelu6,
  kLeakyRelu,
  kHardSigmoid,
  kHardSwish,
  kSigmoid,
  kSilu,
  kGelu,
  kGeluTanh,
  kTanh,
  kExp,
  kSqrt,
  kErf,
  kNeg,
  kAbs,
  kClip
};
enum class Binary : int { kAdd, kSub, kMul, kDiv, kPow };
enum class Reduction : int { kSum, kMax };
enum class Pooling : int { kMax, kMeanOfImage, kMeanWithPadding, kAdaptive };

/// By the catalogue's name. @throws std::invalid_argument.
Unary unary_named(std::string_view name);
Binary binary_named(std::string_view name);

/// A function of one number with its parameters.
struct Function {
  Unary kind = Unary::kIdentity;
  float a = 0.0F;
  float b = 0.0F;
};

struct Axes {
  unsigned size[6];
  long long first[6];
  long long second[6];
};

struct Window {
  unsigned batch, channels, height, width;
  unsigned out_channels, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
  int top, left, bottom, right;
  int channels_last;
};

struct Attention {
  float scale;
  int causal;
  unsigned queries, heads;
  long long by_batch, by_head, by_query, by_key;
};

}  // namespace lutra::gpu
