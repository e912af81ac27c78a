#include <algorithm>
#include <cmath>
#include <numbers>

#include "cpu/kernels/broadcast.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

namespace {

double activate_double(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kRelu6:
      return std::clamp(x, 0.0, 6.0);
    case Activation::kHardSwish:
      return x * std::clamp(x + 3.0, 0.0, 6.0) / 6.0;
    case Activation::kHardSigmoid:
      return std::clamp(x + 3.0, 0.0, 6.0) / 6.0;
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kExp:
      return std::exp(x);
    case Activation::kSqrt:
      return std::sqrt(x);
    case Activation::kErf:
      return std::erf(x);
    case Activation::kNegative:
      return -x;
    case Activation::kAbsolute:
      return std::abs(x);
  }
  return x;
}

float combine(BinaryOp op, float a, float b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kPow:
      return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case BinaryOp::kMax:
      break;
  }
  return std::max(a, b);
}

// The element of an operand that broadcasting pairs with element `at` of the result.
int64_t broadcast_position(const Shape& shape, const std::vector<int64_t>& at) {
  std::vector<int64_t> own(at.end() - static_cast<std::ptrdiff_t>(shape.size()), at.end());
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 1) own[i] = 0;
  return flat(shape, own);
}

}  // namespace

float activate(Activation activation, float x) { return static_cast<float>(activate_double(activation, x)); }

void activate(Activation activation, const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = activate(activation, x[i]);
}

void clip(const float* x, Clamp bounds, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = std::min(std::max(x[i], bounds.low), bounds.high);
}

void leaky_relu(const float* x, float slope, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] > 0.0F ? x[i] : slope * x[i];
}

void binary(BinaryOp op, const Shape& a_shape, const float* a, const Shape& b_shape, const float* b,
            float* y) {
  Index at(broadcast_shape(a_shape, b_shape).value());
  do {
    *y++ = combine(op, a[broadcast_position(a_shape, at.at())], b[broadcast_position(b_shape, at.at())]);
  } while (at.next());
}

}  // namespace lutra::cpu::reference
