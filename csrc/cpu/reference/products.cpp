#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

void matmul(const MatmulShape& shape, const float* a, const float* b, float* c) {
  for (size_t i = 0; i < shape.a_offsets.size(); ++i)
    for (int64_t row = 0; row < shape.rows; ++row)
      for (int64_t column = 0; column < shape.columns; ++column) {
        double sum = 0.0;
        for (int64_t k = 0; k < shape.depth; ++k) {
          const int64_t right = shape.transpose_b ? column * shape.depth + k : k * shape.columns + column;
          sum += static_cast<double>(a[shape.a_offsets[i] + row * shape.depth + k]) *
                 b[shape.b_offsets[i] + right];
        }
        *c++ = static_cast<float>(sum);
      }
}

void linear(const LinearShape& shape, Activation activation, const LinearArgs& args) {
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t column = 0; column < shape.columns; ++column) {
      double sum = args.bias ? args.bias[column] : 0.0F;
      for (int64_t k = 0; k < shape.depth; ++k)
        sum +=
            static_cast<double>(args.x[row * shape.depth + k]) * args.packed_weight[column * shape.depth + k];
      const int64_t i = row * shape.columns + column;
      if (args.residual) sum += args.residual[i];
      args.y[i] = activate(activation, static_cast<float>(sum));
    }
}

void attention(const AttentionShape& shape, const AttentionArgs& args) {
  std::vector<double> weights(static_cast<size_t>(shape.keys));
  for (int64_t i = 0; i < shape.heads * shape.queries; ++i) {
    const int64_t head = i / shape.queries;
    const auto visible = static_cast<size_t>(shape.visible_keys(i % shape.queries));
    const float* k = args.k + head * shape.keys * shape.width;
    const float* v = args.v + head * shape.keys * shape.value_width;
    for (size_t key = 0; key < visible; ++key) {
      weights[key] = 0.0;
      for (int64_t d = 0; d < shape.width; ++d)
        weights[key] += static_cast<double>(args.q[i * shape.width + d]) * *k++;
      weights[key] *= shape.scale;
      if (!shape.mask_offsets.empty())
        weights[key] += args.mask[shape.mask_offsets[static_cast<size_t>(head)] +
                                  i % shape.queries * shape.mask_row_stride + static_cast<int64_t>(key)];
    }
    const double highest =
        *std::max_element(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(visible));
    double total = 0.0;
    for (size_t key = 0; key < visible; ++key) total += weights[key] = std::exp(weights[key] - highest);
    for (int64_t d = 0; d < shape.value_width; ++d) {
      double sum = 0.0;
      for (size_t key = 0; key < visible; ++key)
        sum += weights[key] / total * v[static_cast<int64_t>(key) * shape.value_width + d];
      args.y[i * shape.value_width + d] = static_cast<float>(sum);
    }
  }
}

}  // namespace lutra::cpu::reference
