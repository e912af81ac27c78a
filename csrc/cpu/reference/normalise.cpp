#include <algorithm>
#include <cmath>

#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

namespace {

struct Statistics {
  double mean = 0.0;
  double variance = 0.0;
};

Statistics statistics(const float* x, int64_t count) {
  Statistics found;
  for (int64_t i = 0; i < count; ++i) found.mean += x[i];
  found.mean /= static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) found.variance += (x[i] - found.mean) * (x[i] - found.mean);
  found.variance /= static_cast<double>(count);
  return found;
}

float normalised(float x, const Statistics& known, float epsilon, const NormArgs& args, int64_t parameter) {
  const double scale = args.scale ? args.scale[parameter] : 1.0F;
  const double shift = args.shift ? args.shift[parameter] : 0.0F;
  return static_cast<float>((x - known.mean) / std::sqrt(known.variance + epsilon) * scale + shift);
}

}  // namespace

void batch_norm(const ChannelNormShape& shape, const NormArgs& args) {
  for (int64_t i = 0; i < shape.batch * shape.channels * shape.inner; ++i) {
    const int64_t channel = i / shape.inner % shape.channels;
    args.y[i] =
        normalised(args.x[i], {args.mean[channel], args.variance[channel]}, shape.epsilon, args, channel);
  }
}

void group_norm(const ChannelNormShape& shape, const NormArgs& args) {
  const int64_t size = shape.channels / shape.groups * shape.inner;
  for (int64_t group = 0; group < shape.batch * shape.groups; ++group) {
    const Statistics known = statistics(args.x + group * size, size);
    for (int64_t i = group * size; i < (group + 1) * size; ++i)
      args.y[i] = normalised(args.x[i], known, shape.epsilon, args, i / shape.inner % shape.channels);
  }
}

void layer_norm(const RowNormShape& shape, const NormArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const Statistics known = statistics(args.x + row * shape.width, shape.width);
    for (int64_t i = 0; i < shape.width; ++i)
      args.y[row * shape.width + i] =
          normalised(args.x[row * shape.width + i], known, shape.epsilon, args, i);
  }
}

void rms_norm(const RowNormShape& shape, const NormArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* x = args.x + row * shape.width;
    Statistics known;
    for (int64_t i = 0; i < shape.width; ++i) known.variance += static_cast<double>(x[i]) * x[i];
    known.variance /= static_cast<double>(shape.width);
    for (int64_t i = 0; i < shape.width; ++i)
      args.y[row * shape.width + i] = normalised(x[i], known, shape.epsilon, args, i);
  }
}

void softmax(const AxisShape& shape, const float* x, float* y) {
  for (int64_t line = 0; line < shape.outer * shape.inner; ++line) {
    const int64_t start = line / shape.inner * shape.length * shape.inner + line % shape.inner;
    double highest = x[start];
    for (int64_t i = 0; i < shape.length; ++i)
      highest = std::max(highest, static_cast<double>(x[start + i * shape.inner]));
    double total = 0.0;
    for (int64_t i = 0; i < shape.length; ++i) total += std::exp(x[start + i * shape.inner] - highest);
    for (int64_t i = 0; i < shape.length; ++i)
      y[start + i * shape.inner] = static_cast<float>(std::exp(x[start + i * shape.inner] - highest) / total);
  }
}

}  // namespace lutra::cpu::reference
