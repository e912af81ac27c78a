#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

/// softmax(scale Q K^T) V for `heads` independent heads (batch x heads, in memory one after the other).
/// Q: queries x width, K: keys x width, V: keys x value_width. Causal: query i sees keys 0 ... i. A mask is
/// added to the scaled scores: head h, query i finds its `keys` values at mask_offsets[h] + i *
/// mask_row_stride.
struct AttentionShape {
  int64_t heads = 1;
  int64_t queries = 1;
  int64_t keys = 1;
  int64_t width = 1;
  int64_t value_width = 1;
  float scale = 1.0F;
  bool causal = false;
  std::vector<int64_t> mask_offsets{};  ///< empty: no mask
  int64_t mask_row_stride = 0;

  int64_t visible_keys(int64_t query) const { return causal ? std::min(query + 1, keys) : keys; }
};

struct AttentionArgs {
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* mask = nullptr;
  float* y = nullptr;
  float* workspace = nullptr;
};

int64_t attention_workspace_floats(const KernelTable& kernels, const AttentionShape& shape);
void attention(const KernelTable& kernels, const AttentionShape& shape, const AttentionArgs& args);

}  // namespace lutra::cpu
