#include <cmath>
#include <stdexcept>

#include "gpu/content.hpp"
#include "gpu/step.hpp"

namespace lutra::gpu {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// What is left to our own kernel behind a product or convolution.
struct Rest {
  bool bias = false;
  bool residual = false;
  Function function;

  [[nodiscard]] bool any() const { return bias || residual || function.kind != Unary::kIdentity; }
};

/// A product that takes in as much of bias, residual and activation as the library has.
class LinearStep final : public Step {
 public:
  LinearStep(const StepContext& context, const ProductSpec& spec, Rest rest)
      : launches_(context.launches()), spec_(spec), rest_(rest) {
    const Rest wanted = rest;
    spec_.bias = rest.bias;
    spec_.adds = rest.residual;
    spec_.relu = rest.function.kind == Unary::kRelu;
    spec_.gelu_tanh = rest.function.kind == Unary::kGeluTanh;
    const bool takes_activation = spec_.relu || spec_.gelu_tanh;
    rest_ = {.function = takes_activation ? Function{} : rest.function};
    try {
      product_ = std::make_unique<Product>(context.blas(), spec_);
    } catch (const std::invalid_argument&) {  // not with this epilogue; if not at all, the next try says so
      spec_.bias = spec_.adds = spec_.relu = spec_.gelu_tanh = false;
      rest_ = wanted;
      product_ = std::make_unique<Product>(context.blas(), spec_);
    }
    residual_ = wanted.residual ? context.input_count() - 1 : 0;
  }

  void enqueue(const Places& places) const override {
    const cuda::Pointer bias = spec_.bias || rest_.bias ? places.inputs[2] : 0;
    const cuda::Pointer residual = residual_ > 0 ? places.inputs[residual_] : 0;
    const cuda::Pointer y = places.outputs[0];
    product_->enqueue(1.0F, places.inputs[0], places.inputs[1], residual, bias, y, places.workspace);
    if (rest_.any())
      launches_.epilogue(y, y, rest_.bias ? bias : 0, rest_.residual ? residual : 0, spec_.m * spec_.n,
                         spec_.n, 1, rest_.function);
  }
  [[nodiscard]] std::size_t workspace_bytes() const override { return product_->workspace_bytes(); }
  [[nodiscard]] std::string implementation() const override {
    return product_->implementation() + (rest_.any() ? ", lutra epilogue" : "");
  }

 private:
  Launches launches_;
  ProductSpec spec_;
  Rest rest_;
  std::size_t residual_ = 0;
  std::unique_ptr<Product> product_;
};

/// A product in int8: sums in the workspace, behind what the library uses, then a kernel of ours.
class Int8LinearStep final : public Step {
 public:
  Int8LinearStep(const StepContext& context, const ProductSpec& spec, const Rest& rest)
      : launches_(context.launches()),
        spec_(spec),
        rest_(rest),
        residual_(rest.residual ? context.input_count() - 1 : 0),
        product_(context.blas(), spec),
        scratch_bytes_(aligned(product_.workspace_bytes())) {}

  void enqueue(const Places& places) const override {
    const cuda::Pointer sums = places.workspace + scratch_bytes_;
    product_.enqueue(1.0F, places.inputs[0], places.inputs[1], 0, 0, sums, places.workspace);
    launches_.requantise(sums, places.outputs[0], rest_.bias ? places.inputs[2] : 0,
                         residual_ > 0 ? places.inputs[residual_] : 0, spec_.m * spec_.n, spec_.n,
                         kInt8Step * kInt8WeightStep, rest_.function);
  }
  [[nodiscard]] std::size_t workspace_bytes() const override {
    return scratch_bytes_ + static_cast<std::size_t>(spec_.m * spec_.n) * element_bytes(Element::kInt32);
  }
  [[nodiscard]] std::string implementation() const override {
    return product_.implementation() + ", lutra requantise";
  }
  [[nodiscard]] Packing packing(std::size_t input) const override {
    return input == 2 && rest_.bias ? Packing::kInSteps : Packing::kPlain;
  }

 private:
  Launches launches_;
  ProductSpec spec_;
  Rest rest_;
  std::size_t residual_;
  Product product_;
  std::size_t scratch_bytes_;
};

class MatmulStep final : public Step {
 public:
  MatmulStep(const StepContext& context, const ProductSpec& spec) : product_(context.blas(), spec) {}
  void enqueue(const Places& places) const override {
    product_.enqueue(1.0F, places.inputs[0], places.inputs[1], 0, 0, places.outputs[0], places.workspace);
  }
  [[nodiscard]] std::size_t workspace_bytes() const override { return product_.workspace_bytes(); }
  [[nodiscard]] std::string implementation() const override { return product_.implementation(); }

 private:
  Product product_;
};

/// Two products with a softmax between them; the scores lie in the workspace, behind what the products use.
class AttentionStep final : public Step {
 public:
  AttentionStep(const StepContext& context, const ProductSpec& scores, const ProductSpec& values,
                const Attention& attention, bool masked)
      : launches_(context.launches()),
        scores_(context.blas(), scores),
        values_(context.blas(), values),
        attention_(attention),
        rows_(scores.batch * scores.m),
        keys_(scores.n),
        masked_(masked),
        scratch_bytes_(aligned(std::max(scores_.workspace_bytes(), values_.workspace_bytes()))),
        score_bytes_(static_cast<std::size_t>(rows_ * keys_) * element_bytes(scores.element)) {}

  void enqueue(const Places& places) const override {
    const cuda::Pointer scores = places.workspace + scratch_bytes_;
    scores_.enqueue(1.0F, places.inputs[0], places.inputs[1], 0, 0, scores, places.workspace);
    launches_.softmax(scores, scores, masked_ ? places.inputs[3] : 0, rows_, keys_, 1, attention_);
    values_.enqueue(1.0F, scores, places.inputs[2], 0, 0, places.outputs[0], places.workspace);
  }
  [[nodiscard]] std::size_t workspace_bytes() const override { return scratch_bytes_ + score_bytes_; }
  [[nodiscard]] std::string implementation() const override {
    return scores_.implementation() + ", lutra softmax, " + values_.implementation();
  }

 private:
  Launches launches_;
  Product scores_;
  Product values_;
  Attention attention_;
  std::int64_t rows_;
  std::int64_t keys_;
  bool masked_;
  std::size_t scratch_bytes_;
  std::size_t score_bytes_;
};

class ConvolutionStep final : public Step {
 public:
  ConvolutionStep(const StepContext& context, const ConvolutionSpec& spec, const Rest& rest)
      : launches_(context.launches()),
        spec_(spec),
        rest_(rest),
        residual_(rest.residual ? context.input_count() - 1 : 0),
        convolution_(context.dnn(), spec) {}

  void enqueue(const Places& places) const override {
    const cuda::Pointer bias = rest_.bias ? places.inputs[2] : 0;
    const cuda::Pointer residual = residual_ > 0 ? places.inputs[residual_] : 0;
    const cuda::Pointer y = places.outputs[0];
    convolution_.enqueue(places.inputs[0], places.inputs[1], bias, residual, y, places.workspace);
    if (convolution_.fused() || !rest_.any()) return;
    const std::int64_t image = std::int64_t{spec_.out_height} * spec_.out_width;
    launches_.epilogue(y, y, bias, residual, image * spec_.out_channels * spec_.batch, spec_.out_channels,
                       spec_.channels_last ? 1 : image, rest_.function);
  }
  [[nodiscard]] std::size_t workspace_bytes() const override { return convolution_.workspace_bytes(); }
  [[nodiscard]] std::string implementation() const override {
    return convolution_.implementation() + (!convolution_.fused() && rest_.any() ? ", lutra epilogue" : "");
  }
  [[nodiscard]] Packing packing(std::size_t input) const override {
    if (input == 2 && rest_.bias && spec_.math == Math::kInt8) return Packing::kInSteps;
    return input == 1 && spec_.channels_last ? Packing::kChannelsLast : Packing::kPlain;
  }

 private:
  Launches launches_;
  ConvolutionSpec spec_;
  Rest rest_;
  std::size_t residual_;
  Convolution convolution_;
};

Rest rest_of(const StepContext& context) {
  return {.bias = context.integer("bias", 0) != 0,
          .residual = context.residual(),
          .function = context.activation()};
}

std::int64_t leading(const Shape& shape) { return cpu::product(shape, 0, shape.size() - 2); }

int small(std::int64_t value) {
  if (value < 0 || value > 1 << 30) throw std::invalid_argument("too large for cuDNN");
  return static_cast<int>(value);
}

}  // namespace

std::unique_ptr<Step> make_linear(const StepContext& context) {
  const Shape& x = context.input(0).shape;
  ProductSpec spec;
  spec.k = x.back();
  spec.m = cpu::product(x, 0, x.size() - 1);
  spec.n = context.output().shape.back();
  spec.transposed = true;
  spec.element = context.input(0).element;
  spec.math = math_named(context.text("math"));
  if (spec.math == Math::kInt8) return std::make_unique<Int8LinearStep>(context, spec, rest_of(context));
  return std::make_unique<LinearStep>(context, spec, rest_of(context));
}

std::unique_ptr<Step> make_matmul(const StepContext& context) {
  const Shape& a = context.input(0).shape;
  const Shape& b = context.input(1).shape;
  if (leading(a) != leading(b)) throw std::invalid_argument("leading axes that differ");
  ProductSpec spec;
  spec.batch = leading(a);
  spec.m = a[a.size() - 2];
  spec.k = a.back();
  spec.n = b.back();
  spec.element = context.output().element;
  spec.math = math_named(context.text("math"));
  return std::make_unique<MatmulStep>(context, spec);
}

std::unique_ptr<Step> make_attention(const StepContext& context) {
  const Shape& q = context.input(0).shape;
  const Shape& k = context.input(1).shape;
  const Shape& v = context.input(2).shape;
  if (leading(q) != leading(k) || leading(q) != leading(v))
    throw std::invalid_argument("leading axes that differ");
  ProductSpec scores;
  scores.batch = leading(q);
  scores.m = q[q.size() - 2];
  scores.n = k[k.size() - 2];
  scores.k = q.back();
  scores.transposed = true;
  scores.element = context.output().element;
  scores.math = math_named(context.text("math"));
  ProductSpec values = scores;
  values.transposed = false;
  values.k = scores.n;
  values.n = v.back();
  const float given = context.number("scale", 0.0F);
  Attention attention{};
  attention.scale = given != 0.0F ? given : 1.0F / std::sqrt(static_cast<float>(scores.k));
  attention.causal = static_cast<int>(context.integer("causal", 0));
  attention.queries = static_cast<unsigned>(scores.m);
  attention.heads = q.size() > 2 ? static_cast<unsigned>(q[q.size() - 3]) : 1U;
  const bool masked = context.input_count() > 3;
  if (masked) {
    const Shape& mask = context.input(3).shape;
    if (mask.size() > 4 || q.size() > 4) throw std::invalid_argument("a mask with over four axes");
    const Shape own = StepContext::strides_of(mask, false);
    std::int64_t strides[4] = {0, 0, 0, 0};
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (mask[i] > 1) strides[4 - mask.size() + i] = own[i];
    attention.by_batch = strides[0];
    attention.by_head = strides[1];
    attention.by_query = strides[2];
    attention.by_key = strides[3];
  }
  return std::make_unique<AttentionStep>(context, scores, values, attention, masked);
}

std::unique_ptr<Step> make_convolution(const StepContext& context) {
  const Window window = window_of(context);
  const std::int64_t groups = context.integer("groups", 1);
  if (groups > 1 && groups == window.channels) return make_depthwise(context);
  if (window.top != window.bottom || window.left != window.right)
    throw std::invalid_argument("padding that differs from side to side");
  ConvolutionSpec spec;
  spec.batch = small(window.batch);
  spec.channels = small(window.channels);
  spec.height = small(window.height);
  spec.width = small(window.width);
  spec.out_channels = small(window.out_channels);
  spec.out_height = small(window.out_height);
  spec.out_width = small(window.out_width);
  spec.kernel_height = window.kernel_height;
  spec.kernel_width = window.kernel_width;
  spec.stride_height = window.stride_height;
  spec.stride_width = window.stride_width;
  spec.dilation_height = window.dilation_height;
  spec.dilation_width = window.dilation_width;
  spec.pad_height = window.top;
  spec.pad_width = window.left;
  spec.groups = small(groups);
  spec.channels_last = window.channels_last != 0;
  spec.element = context.output().element;
  spec.math = math_named(context.text("math"));
  const Rest rest = rest_of(context);
  spec.bias = rest.bias;
  spec.residual = rest.residual;
  spec.activates = rest.function.kind != Unary::kIdentity;
  spec.relu = rest.function.kind == Unary::kRelu;
  return std::make_unique<ConvolutionStep>(context, spec, rest);
}

}  // namespace lutra::gpu
