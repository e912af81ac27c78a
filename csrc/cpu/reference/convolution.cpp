#include <vector>

#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

namespace {

// Input position that tap `tap` reads for output `o`; outside the image where the padding is.
int64_t input_at(int64_t o, int64_t stride, int64_t pad, int64_t tap, int64_t dilation) {
  return o * stride - pad + tap * dilation;
}

struct Position {
  int64_t image, out_channel, oh, ow;
};

double convolve(const Conv2dShape& shape, const ConvArgs& args, const Position& at) {
  const Window2d& w = shape.window;
  const int64_t inputs = shape.in_channels / shape.groups;
  const int64_t group = at.out_channel / (shape.out_channels / shape.groups);
  double sum = 0.0;
  for (int64_t c = 0; c < inputs; ++c)
    for (int64_t kh = 0; kh < w.kernel_h; ++kh)
      for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
        const int64_t ih = input_at(at.oh, w.stride_h, w.pad_top, kh, w.dilation_h);
        const int64_t iw = input_at(at.ow, w.stride_w, w.pad_left, kw, w.dilation_w);
        if (ih < 0 || ih >= w.in_h || iw < 0 || iw >= w.in_w) continue;
        const int64_t channel = at.image * shape.in_channels + group * inputs + c;
        const int64_t weight = ((at.out_channel * inputs + c) * w.kernel_h + kh) * w.kernel_w + kw;
        sum += static_cast<double>(args.x[(channel * w.in_h + ih) * w.in_w + iw]) * args.weight[weight];
      }
  return sum;
}

}  // namespace

void conv2d(const Conv2dShape& shape, Activation activation, const ConvArgs& args) {
  const Window2d& w = shape.window;
  int64_t i = 0;
  for (int64_t image = 0; image < shape.batch; ++image)
    for (int64_t channel = 0; channel < shape.out_channels; ++channel)
      for (int64_t oh = 0; oh < w.out_h; ++oh)
        for (int64_t ow = 0; ow < w.out_w; ++ow, ++i) {
          double value = convolve(shape, args, {image, channel, oh, ow});
          if (args.bias) value += args.bias[channel];
          if (args.residual) value += args.residual[i];
          args.y[i] = activate(activation, static_cast<float>(value));
        }
}

// Every input element adds its weighted window to the output: the mirror image of the convolution in
// `shape.window`.
void conv_transpose2d(const Conv2dShape& shape, Activation activation, const ConvArgs& args) {
  const Window2d& w = shape.window;
  const int64_t inputs = shape.in_channels / shape.groups;
  const int64_t outputs = shape.out_channels / shape.groups;
  std::vector<double> sum(static_cast<size_t>(shape.batch * shape.out_channels * w.in_size()), 0.0);
  for (int64_t plane = 0; plane < shape.batch * shape.in_channels; ++plane)
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t pixel = 0; pixel < w.out_size(); ++pixel)
        for (int64_t tap = 0; tap < w.taps(); ++tap) {
          const int64_t in_channel = plane % shape.in_channels;
          const int64_t out_channel = in_channel / inputs * outputs + o;
          const int64_t out_plane = plane / shape.in_channels * shape.out_channels + out_channel;
          const int64_t h = input_at(pixel / w.out_w, w.stride_h, w.pad_top, tap / w.kernel_w, w.dilation_h);
          const int64_t v = input_at(pixel % w.out_w, w.stride_w, w.pad_left, tap % w.kernel_w, w.dilation_w);
          if (h < 0 || h >= w.in_h || v < 0 || v >= w.in_w) continue;
          sum[static_cast<size_t>((out_plane * w.in_h + h) * w.in_w + v)] +=
              static_cast<double>(args.x[plane * w.out_size() + pixel]) *
              args.weight[(in_channel * outputs + o) * w.taps() + tap];
        }
  for (size_t i = 0; i < sum.size(); ++i) {
    const int64_t channel = static_cast<int64_t>(i) / w.in_size() % shape.out_channels;
    const double bias = args.bias ? args.bias[channel] : 0.0F;
    args.y[i] = activate(activation, static_cast<float>(sum[i] + bias));
  }
}

}  // namespace lutra::cpu::reference
