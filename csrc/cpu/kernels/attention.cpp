#include "cpu/kernels/attention.hpp"

#include <algorithm>

#include "cpu/kernels/gemm.hpp"

namespace lutra::cpu {

namespace {

// Scores are computed for so many queries at a time: enough to reuse K and V, few enough to stay in cache.
constexpr int64_t kQueryBlock = 48;

int64_t score_floats(const AttentionShape& shape) {
  return std::min(kQueryBlock, shape.queries) * shape.keys;
}

// The operands of one head; K and V packed, mask optional.
struct Head {
  const float* q;
  const float* keys;
  const float* values;
  const float* mask;
  float* y;
};

void softmax_scores(const KernelTable& kernels, const AttentionShape& shape, const float* mask, int64_t first,
                    int64_t count, float* scores) {
  for (int64_t i = 0; i < count; ++i) {
    float* row = scores + i * shape.keys;
    const int64_t visible = shape.visible_keys(first + i);
    float scale = shape.scale;
    if (mask) {
      kernels.affine(row, scale, 0.0F, row, visible);
      kernels.binary(BinaryOp::kAdd, row, Operand::kVector, mask + (first + i) * shape.mask_row_stride,
                     Operand::kVector, row, visible);
      scale = 1.0F;
    }
    kernels.softmax_row(row, scale, row, visible);
    std::fill(row + visible, row + shape.keys, 0.0F);
  }
}

void attend(const KernelTable& kernels, const AttentionShape& shape, const Head& head, float* scores) {
  for (int64_t first = 0; first < shape.queries; first += kQueryBlock) {
    GemmTask product;
    product.rows = std::min(kQueryBlock, shape.queries - first);
    product.columns = shape.keys;
    product.depth = shape.width;
    product.a = head.q + first * shape.width;
    product.a_row_stride = shape.width;
    product.c = scores;
    product.c_row_stride = shape.keys;
    gemm(kernels, product, head.keys);

    softmax_scores(kernels, shape, head.mask, first, product.rows, scores);

    GemmTask mix;
    mix.rows = product.rows;
    mix.columns = shape.value_width;
    mix.depth = shape.keys;
    mix.a = scores;
    mix.a_row_stride = shape.keys;
    mix.c = head.y + first * shape.value_width;
    mix.c_row_stride = shape.value_width;
    gemm(kernels, mix, head.values);
  }
}

}  // namespace

int64_t attention_workspace_floats(const KernelTable& kernels, const AttentionShape& shape) {
  return packed_b_floats(kernels, shape.width, shape.keys) +
         packed_b_floats(kernels, shape.keys, shape.value_width) + score_floats(shape);
}

void attention(const KernelTable& kernels, const AttentionShape& shape, const AttentionArgs& args) {
  float* const keys = args.workspace;
  float* const values = keys + packed_b_floats(kernels, shape.width, shape.keys);
  float* const scores = values + packed_b_floats(kernels, shape.keys, shape.value_width);
  for (int64_t head = 0; head < shape.heads; ++head) {
    pack_b(kernels, {args.k + head * shape.keys * shape.width, 1, shape.width}, shape.width, shape.keys,
           keys);
    pack_b(kernels, {args.v + head * shape.keys * shape.value_width, shape.value_width, 1}, shape.keys,
           shape.value_width, values);
    Head operands{.q = args.q + head * shape.queries * shape.width,
                  .keys = keys,
                  .values = values,
                  .mask = nullptr,
                  .y = args.y + head * shape.queries * shape.value_width};
    if (!shape.mask_offsets.empty())
      operands.mask = args.mask + shape.mask_offsets[static_cast<size_t>(head)];
    attend(kernels, shape, operands, scores);
  }
}

}  // namespace lutra::cpu
