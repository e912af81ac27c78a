#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/reference/reference.hpp"

// The 8-bit kernels agree with these to the last bit: sums are whole numbers, and every rounding is
// prescribed.
namespace lutra::cpu::reference {

namespace {

// NaN becomes the lower bound.
float clamped(float x, Clamp bounds) {
  const float above = x > bounds.low ? x : bounds.low;
  return above < bounds.high ? above : bounds.high;
}

float limited(float x) { return clamped(x, {-kLargestScaled, kLargestScaled}); }

uint8_t rounded(float sum, const Requantisation& to) {
  return static_cast<uint8_t>(static_cast<int32_t>(std::nearbyint(clamped(sum, to.clamp))) + to.zero);
}

uint8_t requantised(int64_t sum, float multiplier, const uint8_t* b, const Requantisation& to) {
  float value = limited(static_cast<float>(sum) * multiplier);
  if (b != nullptr) value += limited(static_cast<float>(*b - to.b_zero) * to.b_multiplier);
  return rounded(value, to);
}

// Where a pixel of a channel is, in blocks or in planes.
int64_t position(int64_t channels, int64_t pixels, bool plain, int64_t image, int64_t channel,
                 int64_t pixel) {
  if (plain) return (image * channels + channel) * pixels + pixel;
  const int64_t block = image * channel_blocks(channels) + channel / kChannelBlock;
  return (block * pixels + pixel) * kChannelBlock + channel % kChannelBlock;
}

struct Output {
  int64_t image, channel, pixel;
};

int64_t convolve(const Conv2dShape& shape, bool plain_input, int32_t zero, const QuantisedConvArgs& args,
                 const Output& at) {
  const Window2d& w = shape.window;
  const int64_t inputs = shape.in_channels / shape.groups;
  const int64_t group = at.channel / (shape.out_channels / shape.groups);
  int64_t sum = args.bias != nullptr ? args.bias[at.channel] : 0;
  for (int64_t c = 0; c < inputs; ++c)
    for (int64_t tap = 0; tap < w.taps(); ++tap) {
      const int64_t ih = at.pixel / w.out_w * w.stride_h - w.pad_top + tap / w.kernel_w * w.dilation_h;
      const int64_t iw = at.pixel % w.out_w * w.stride_w - w.pad_left + tap % w.kernel_w * w.dilation_w;
      if (ih < 0 || ih >= w.in_h || iw < 0 || iw >= w.in_w) continue;
      const int64_t x = position(shape.in_channels, w.in_size(), plain_input, at.image, group * inputs + c,
                                 ih * w.in_w + iw);
      sum += int64_t{args.x[x] - zero} * args.weight[(at.channel * inputs + c) * w.taps() + tap];
    }
  return sum;
}

}  // namespace

void quantised_conv2d(const Conv2dShape& shape, bool plain_input, const QuantisedOperands& operands,
                      const QuantisedConvArgs& args) {
  const int64_t pixels = shape.window.out_size();
  for (int64_t image = 0; image < shape.batch; ++image)
    for (int64_t channel = 0; channel < shape.out_channels; ++channel)
      for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        const int64_t y = position(shape.out_channels, pixels, false, image, channel, pixel);
        args.y[y] =
            requantised(convolve(shape, plain_input, operands.x.zero, args, {image, channel, pixel}),
                        operands.ratio() * args.scale[channel],
                        args.residual != nullptr ? args.residual + y : nullptr, operands.requantisation());
      }
}

void quantised_linear(const QuantisedLinear::Shape& shape, const QuantisedOperands& operands,
                      const QuantisedConvArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t o = 0; o < shape.outputs; ++o) {
      int64_t sum = args.bias != nullptr ? args.bias[o] : 0;
      for (int64_t k = 0; k < shape.depth; ++k)
        sum += int64_t{args.x[row * shape.depth + k] - operands.x.zero} * args.weight[o * shape.depth + k];
      const int64_t y = row * shape.outputs + o;
      args.y[y] =
          requantised(sum, operands.ratio() * args.scale[o],
                      args.residual != nullptr ? args.residual + y : nullptr, operands.requantisation());
    }
}

void quantised_pool2d(const PoolShape& shape, int64_t inner, const QuantisedOperands& operands,
                      const uint8_t* x, uint8_t* y) {
  const Window2d& w = shape.window;
  const PoolScales scales(shape);
  for (int64_t i = 0; i < shape.planes * w.out_size() * inner; ++i) {
    const int64_t oh = i / inner / w.out_w % w.out_h;
    const int64_t ow = i / inner % w.out_w;
    const int64_t plane = i / inner / w.out_size();
    uint8_t largest = 0;
    int32_t sum = 0;
    for (int64_t tap = 0; tap < w.taps(); ++tap) {
      const int64_t ih = oh * w.stride_h - w.pad_top + tap / w.kernel_w;
      const int64_t iw = ow * w.stride_w - w.pad_left + tap % w.kernel_w;
      if (ih < 0 || ih >= w.in_h || iw < 0 || iw >= w.in_w) continue;
      const uint8_t value = x[((plane * w.in_h + ih) * w.in_w + iw) * inner + i % inner];
      largest = std::max(largest, value);
      sum += value - operands.x.zero;
    }
    const float scale = shape.kind == PoolKind::kMax
                            ? 0.0F
                            : operands.ratio() * (scales.rows[static_cast<size_t>(oh)] *
                                                  scales.columns[static_cast<size_t>(ow)]);
    y[i] = shape.kind == PoolKind::kMax ? largest
                                        : rounded(static_cast<float>(sum) * scale, operands.requantisation());
  }
}

void add_quantised(const QuantisedOperands& operands, const uint8_t* a, const uint8_t* b, uint8_t* y,
                   int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = requantised(a[i] - operands.x.zero, operands.ratio(), b + i, operands.requantisation());
}

void quantise(Quantisation to, const float* x, uint8_t* y, int64_t count) {
  const Requantisation requantisation = QuantisedOperands{.x = {}, .y = to, .b = {}}.requantisation();
  for (int64_t i = 0; i < count; ++i) y[i] = rounded(x[i] * (1.0F / to.scale), requantisation);
}

void dequantise(Quantisation from, const uint8_t* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - from.zero) * from.scale;
}

}  // namespace lutra::cpu::reference
