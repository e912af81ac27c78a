// Pointwise functions of one and two operands. Lambdas capture by default, though they need nothing: one
// without captures converts to a function pointer, through a function that GCC compiles for the baseline.

namespace lutra::cpu::LUTRA_ISA {

template <class Function>
LUTRA_INLINE void map(const float* x, float* y, int64_t count, Function function) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, function(load(x + i)));
  if (i < count) store_partial(y + i, function(load_partial(x + i, count - i)), count - i);
}

static void activate(Activation activation, const float* x, float* y, int64_t count) {
  switch (activation) {
    case Activation::kNone:
      if (x != y) __builtin_memcpy(y, x, static_cast<size_t>(count) * sizeof(float));
      return;
    case Activation::kRelu:
      return map(x, y, count, [=](Vec v) { return max(v, Vec{}); });
    case Activation::kRelu6:
      return map(x, y, count, [=](Vec v) { return clamp(v, Clamp{0.0F, 6.0F}); });
    case Activation::kHardSwish:
      return map(x, y, count, [=](Vec v) { return v * hard_sigmoid(v); });
    case Activation::kHardSigmoid:
      return map(x, y, count, [=](Vec v) { return hard_sigmoid(v); });
    case Activation::kSigmoid:
      return map(x, y, count, [=](Vec v) { return sigmoid(v); });
    case Activation::kSilu:
      return map(x, y, count, [=](Vec v) { return v * sigmoid(v); });
    case Activation::kGelu:
      return map(x, y, count, [=](Vec v) { return 0.5F * v * (1.0F + erf(v * 0.707106781187F)); });
    case Activation::kGeluTanh:
      return map(x, y, count, [=](Vec v) { return gelu_tanh(v); });
    case Activation::kTanh:
      return map(x, y, count, [=](Vec v) { return tanh(v); });
    case Activation::kExp:
      return map(x, y, count, [=](Vec v) { return v > 88.37F ? splat(__builtin_inff()) : exp(v); });
    case Activation::kSqrt:
      return map(x, y, count, [=](Vec v) { return square_root(v); });
    case Activation::kErf:
      return map(x, y, count, [=](Vec v) { return erf(v); });
    case Activation::kNegative:
      return map(x, y, count, [=](Vec v) { return -v; });
    case Activation::kAbsolute:
      return map(x, y, count, [=](Vec v) { return absolute(v); });
  }
}

template <bool LeftVector, bool RightVector, class Function>
LUTRA_INLINE void combine(const float* a, const float* b, float* y, int64_t count, Function function) {
  const Vec left = splat(a[0]);
  const Vec right = splat(b[0]);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(y + i, function(LeftVector ? load(a + i) : left, RightVector ? load(b + i) : right));
  const int64_t rest = count - i;
  if (rest == 0) return;
  const Vec last_left = LeftVector ? load_partial(a + i, rest, 1.0F) : left;
  const Vec last_right = RightVector ? load_partial(b + i, rest, 1.0F) : right;
  store_partial(y + i, function(last_left, last_right), rest);
}

template <class Function>
LUTRA_INLINE void combine_any(const float* a, Operand a_kind, const float* b, Operand b_kind, float* y,
                              int64_t count, Function function) {
  if (a_kind == Operand::kVector && b_kind == Operand::kVector)
    return combine<true, true>(a, b, y, count, function);
  if (a_kind == Operand::kVector) return combine<true, false>(a, b, y, count, function);
  if (b_kind == Operand::kVector) return combine<false, true>(a, b, y, count, function);
  combine<false, false>(a, b, y, count, function);
}

static void binary(BinaryOp op, const float* a, Operand a_kind, const float* b, Operand b_kind, float* y,
                   int64_t count) {
  switch (op) {
    case BinaryOp::kAdd:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return l + r; });
    case BinaryOp::kSub:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return l - r; });
    case BinaryOp::kMul:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return l * r; });
    case BinaryOp::kDiv:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return l / r; });
    case BinaryOp::kPow:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return power(l, r); });
    case BinaryOp::kMax:
      return combine_any(a, a_kind, b, b_kind, y, count, [=](Vec l, Vec r) { return max(l, r); });
  }
}

static void clip(const float* x, Clamp bounds, float* y, int64_t count) {
  map(x, y, count, [=](Vec v) { return clamp(v, bounds); });
}

static void leaky_relu(const float* x, float slope, float* y, int64_t count) {
  map(x, y, count, [=](Vec v) { return v > 0.0F ? v : v * slope; });
}

static void affine(const float* x, float scale, float shift, float* y, int64_t count) {
  map(x, y, count, [=](Vec v) { return v * scale + shift; });
}

static void accumulate(const float* x, float* y, int64_t count) {
  combine<true, true>(y, x, y, count, [=](Vec l, Vec r) { return l + r; });
}

static void lerp(const float* a, const float* b, float t, float* y, int64_t count) {
  combine<true, true>(a, b, y, count, [=](Vec l, Vec r) { return l + (r - l) * t; });
}

}  // namespace lutra::cpu::LUTRA_ISA
