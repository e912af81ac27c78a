#include "cpu/kernels/normalise.hpp"

#include <cmath>

namespace lutra::cpu {

namespace {

struct Statistics {
  float mean;
  float inverse_deviation;
};

Statistics statistics(const KernelTable& kernels, const float* x, int64_t count, float epsilon) {
  const float size = static_cast<float>(count);
  const float mean = kernels.sum(x, count) / size;
  const float variance = kernels.squared_deviation(x, mean, count) / size;
  return {mean, 1.0F / std::sqrt(variance + epsilon)};
}

// One channel with known statistics, as a single multiply-add per element.
void normalise_channel(const KernelTable& kernels, const NormArgs& args, int64_t channel,
                       const Statistics& known, int64_t start, int64_t count) {
  const float scale = known.inverse_deviation * (args.scale ? args.scale[channel] : 1.0F);
  const float shift = (args.shift ? args.shift[channel] : 0.0F) - known.mean * scale;
  kernels.affine(args.x + start, scale, shift, args.y + start, count);
}

}  // namespace

void batch_norm(const KernelTable& kernels, const ChannelNormShape& shape, const NormArgs& args) {
  for (int64_t plane = 0; plane < shape.batch * shape.channels; ++plane) {
    const int64_t channel = plane % shape.channels;
    const Statistics known{args.mean[channel], 1.0F / std::sqrt(args.variance[channel] + shape.epsilon)};
    normalise_channel(kernels, args, channel, known, plane * shape.inner, shape.inner);
  }
}

void group_norm(const KernelTable& kernels, const ChannelNormShape& shape, const NormArgs& args) {
  const int64_t group_channels = shape.channels / shape.groups;
  for (int64_t plane = 0; plane < shape.batch * shape.channels; plane += group_channels) {
    const int64_t start = plane * shape.inner;
    const Statistics known = statistics(kernels, args.x + start, group_channels * shape.inner, shape.epsilon);
    for (int64_t i = 0; i < group_channels; ++i)
      normalise_channel(kernels, args, (plane + i) % shape.channels, known, start + i * shape.inner,
                        shape.inner);
  }
}

void layer_norm(const KernelTable& kernels, const RowNormShape& shape, const NormArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x = args.x + row * shape.width;
    const Statistics known = statistics(kernels, x, shape.width, shape.epsilon);
    kernels.normalise(x, known.mean, known.inverse_deviation, args.scale, args.shift,
                      args.y + row * shape.width, shape.width);
  }
}

void rms_norm(const KernelTable& kernels, const RowNormShape& shape, const NormArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x = args.x + row * shape.width;
    const float mean_square =
        kernels.squared_deviation(x, 0.0F, shape.width) / static_cast<float>(shape.width);
    kernels.normalise(x, 0.0F, 1.0F / std::sqrt(mean_square + shape.epsilon), args.scale, nullptr,
                      args.y + row * shape.width, shape.width);
  }
}

}  // namespace lutra::cpu
