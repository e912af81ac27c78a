#pragma once

#include <cstdint>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

/// Parameters of a normalisation; all but mean and variance (batch norm only) are optional.
struct NormArgs {
  const float* x = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  float* y = nullptr;
};

/// batch x channels x inner; in groups of channels for group norm.
struct ChannelNormShape {
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t inner = 1;
  int64_t groups = 1;
  float epsilon = 1e-5F;
};

/// rows x width, each row normalised by itself; scale and shift have `width` values.
struct RowNormShape {
  int64_t rows = 1;
  int64_t width = 1;
  float epsilon = 1e-5F;
};

/// y = (x - mean) / sqrt(variance + epsilon) * scale + shift, with stored statistics per channel.
void batch_norm(const KernelTable& kernels, const ChannelNormShape& shape, const NormArgs& args);
/// Statistics over each group of channels of each image; scale and shift per channel.
void group_norm(const KernelTable& kernels, const ChannelNormShape& shape, const NormArgs& args);
void layer_norm(const KernelTable& kernels, const RowNormShape& shape, const NormArgs& args);
/// y = x / sqrt(mean(x^2) + epsilon) * scale
void rms_norm(const KernelTable& kernels, const RowNormShape& shape, const NormArgs& args);

}  // namespace lutra::cpu
