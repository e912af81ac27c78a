#include <vector>

#include "cpu/reference/reference.hpp"

// Kernels in blocks, by way of the plain twins: what they compute is the same.
namespace lutra::cpu::reference {

namespace {

int64_t blocked_floats(const ReorderShape& shape) {
  return shape.batch * channel_blocks(shape.channels) * shape.pixels * kChannelBlock;
}

std::vector<float> plain_of(const ReorderShape& shape, const float* blocked) {
  std::vector<float> plain(static_cast<size_t>(shape.batch * shape.channels * shape.pixels));
  reference::from_blocks(shape, blocked, plain.data());
  return plain;
}

int64_t position(const ReorderShape& shape, int64_t image, int64_t channel, int64_t pixel) {
  const int64_t block = image * channel_blocks(shape.channels) + channel / kChannelBlock;
  return (block * shape.pixels + pixel) * kChannelBlock + channel % kChannelBlock;
}

template <class T>
void blocks_of(const ReorderShape& shape, const T* x, T* y) {
  for (int64_t i = 0; i < blocked_floats(shape); ++i) y[i] = T{};
  for (int64_t i = 0; i < shape.batch * shape.channels * shape.pixels; ++i)
    y[position(shape, i / shape.pixels / shape.channels, i / shape.pixels % shape.channels,
               i % shape.pixels)] = x[i];
}

template <class T>
void planes_of(const ReorderShape& shape, const T* x, T* y) {
  for (int64_t i = 0; i < shape.batch * shape.channels * shape.pixels; ++i)
    y[i] = x[position(shape, i / shape.pixels / shape.channels, i / shape.pixels % shape.channels,
                      i % shape.pixels)];
}

}  // namespace

void to_blocks(const ReorderShape& shape, const float* x, float* y) { blocks_of(shape, x, y); }
void to_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y) { blocks_of(shape, x, y); }
void from_blocks(const ReorderShape& shape, const float* x, float* y) { planes_of(shape, x, y); }
void from_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y) { planes_of(shape, x, y); }

void blocked_conv2d(const Conv2dShape& shape, bool plain_input, Activation activation, const ConvArgs& args) {
  const ReorderShape in{shape.batch, shape.in_channels, shape.window.in_size()};
  const ReorderShape out{shape.batch, shape.out_channels, shape.window.out_size()};
  std::vector<float> x;
  std::vector<float> residual;
  std::vector<float> y(static_cast<size_t>(out.batch * out.channels * out.pixels));
  ConvArgs plain = args;
  plain.y = y.data();
  if (!plain_input) {
    x = plain_of(in, args.x);
    plain.x = x.data();
  }
  if (args.residual) {
    residual = plain_of(out, args.residual);
    plain.residual = residual.data();
  }
  reference::conv2d(shape, activation, plain);
  reference::to_blocks(out, y.data(), args.y);
}

void blocked_pool2d(const PoolShape& shape, const float* x, float* y) {
  PoolShape plain = shape;
  plain.planes = shape.planes * kChannelBlock;
  const ReorderShape in{shape.planes, kChannelBlock, shape.window.in_size()};
  const ReorderShape out{shape.planes, kChannelBlock, shape.window.out_size()};
  std::vector<float> result(static_cast<size_t>(plain.planes * out.pixels));
  pool2d(plain, plain_of(in, x).data(), result.data());
  reference::to_blocks(out, result.data(), y);
}

}  // namespace lutra::cpu::reference
