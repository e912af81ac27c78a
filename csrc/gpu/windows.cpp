#include <stdexcept>

#include "gpu/step.hpp"

namespace lutra::gpu {
namespace {

class DepthwiseStep final : public Step {
 public:
  DepthwiseStep(const StepContext& context, const Window& window)
      : launches_(context.launches()),
        window_(window),
        function_(context.activation()),
        bias_(context.integer("bias", 0) != 0),
        int8_(context.output().element == Element::kInt8),
        residual_(context.residual() ? context.input_count() - 1 : 0) {}

  void enqueue(const Places& places) const override {
    launches_.depthwise(places.inputs[0], places.inputs[1], bias_ ? places.inputs[2] : 0,
                        residual_ > 0 ? places.inputs[residual_] : 0, places.outputs[0], window_, function_);
  }
  [[nodiscard]] std::string implementation() const override { return "lutra depthwise"; }
  [[nodiscard]] Packing packing(std::size_t input) const override {
    if (input == 2 && bias_ && int8_) return Packing::kInSteps;
    return input == 1 && window_.channels_last != 0 ? Packing::kTapsFirst : Packing::kPlain;
  }

 private:
  Launches launches_;
  Window window_;
  Function function_;
  bool bias_;
  bool int8_;
  std::size_t residual_;
};

int small(std::int64_t value) {
  if (value < 0 || value > 1 << 20) throw std::invalid_argument("a window that is too large");
  return static_cast<int>(value);
}

unsigned size(std::int64_t value) {
  if (value < 1 || value > 1 << 30) throw std::invalid_argument("an image that is too large");
  return static_cast<unsigned>(value);
}

}  // namespace

Window window_of(const StepContext& context) {
  Shape x = context.input(0).shape;
  Shape y = context.output().shape;
  const bool flat = x.size() == 3;
  if (flat) {
    x.insert(x.begin() + 2, 1);
    y.insert(y.begin() + 2, 1);
  }
  if (x.size() != 4 || y.size() != 4) throw std::invalid_argument("no image");
  // Of one-dimensional images the height is 1, and nothing happens along it.
  const auto pair = [&](std::string_view name, std::int64_t otherwise) {
    Shape values = context.has(name) ? context.integers(name) : Shape{otherwise, otherwise};
    if (values.size() == 1) values.insert(values.begin(), otherwise);
    if (values.size() != 2) throw std::invalid_argument(std::string(name) + " must be two numbers");
    return values;
  };
  Shape pads = context.has("padding") ? context.integers("padding") : Shape{0, 0, 0, 0};
  if (pads.size() == 2) pads = {0, pads[0], 0, pads[1]};
  if (pads.size() != 4) throw std::invalid_argument("padding must be four numbers");
  const Shape kernel = pair("kernel_size", 1);
  const Shape stride = pair("stride", 1);
  const Shape dilation = pair("dilation", 1);
  return {.batch = size(x[0]),
          .channels = size(x[1]),
          .height = size(x[2]),
          .width = size(x[3]),
          .out_channels = size(y[1]),
          .out_height = size(y[2]),
          .out_width = size(y[3]),
          .kernel_height = small(kernel[0]),
          .kernel_width = small(kernel[1]),
          .stride_height = small(stride[0]),
          .stride_width = small(stride[1]),
          .dilation_height = small(dilation[0]),
          .dilation_width = small(dilation[1]),
          .top = small(pads[0]),
          .left = small(pads[1]),
          .bottom = small(pads[2]),
          .right = small(pads[3]),
          .channels_last = context.channels_last() ? 1 : 0};
}

std::unique_ptr<Step> make_depthwise(const StepContext& context) {
  return std::make_unique<DepthwiseStep>(context, window_of(context));
}

std::unique_ptr<Step> make_pool(const StepContext& context) {
  const Window window = window_of(context);
  Pooling pooling = Pooling::kMax;
  if (context.op() == "adaptive_avg_pool2d") pooling = Pooling::kAdaptive;
  if (context.op() == "avg_pool2d")
    pooling =
        context.integer("count_include_pad", 1) != 0 ? Pooling::kMeanWithPadding : Pooling::kMeanOfImage;
  return simple_step([=, launches = context.launches()](const Places& places) {
    launches.pool(places.inputs[0], places.outputs[0], window, pooling);
  });
}

std::unique_ptr<Step> make_upsample(const StepContext& context) {
  const Window window = window_of(context);
  const bool bilinear = context.text("mode") == "bilinear";
  return simple_step([=, launches = context.launches()](const Places& places) {
    launches.upsample(places.inputs[0], places.outputs[0], window, bilinear);
  });
}

}  // namespace lutra::gpu
