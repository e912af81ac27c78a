#include "cpu/kernels/broadcast.hpp"

#include <algorithm>

namespace lutra::cpu {

namespace {

// Dimension `i` from the end; missing ones count as 1.
int64_t from_end(const Shape& shape, size_t i) { return i < shape.size() ? shape[shape.size() - 1 - i] : 1; }

}  // namespace

std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape shape(rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t left = from_end(a, i);
    const int64_t right = from_end(b, i);
    if (left != right && left != 1 && right != 1) return std::nullopt;
    shape[rank - 1 - i] = std::max(left, right);
  }
  return shape;
}

BroadcastBinary::BroadcastBinary(BinaryOp op, const Shape& a, const Shape& b, const KernelTable& kernels)
    : op_(op), kernels_(kernels) {
  const size_t rank = std::max(a.size(), b.size());
  for (size_t i = rank; i-- > 0;) {
    const Dim dim{std::max(from_end(a, i), from_end(b, i)), from_end(a, i) > 1, from_end(b, i) > 1};
    if (dim.size == 1) continue;
    if (!dims_.empty() && dims_.back().a_moves == dim.a_moves && dims_.back().b_moves == dim.b_moves)
      dims_.back().size *= dim.size;
    else
      dims_.push_back(dim);
  }
  if (dims_.empty()) dims_.push_back({1, true, true});
  a_strides_.resize(dims_.size());
  b_strides_.resize(dims_.size());
  int64_t a_stride = 1;
  int64_t b_stride = 1;
  for (size_t i = dims_.size(); i-- > 0;) {
    a_strides_[i] = dims_[i].a_moves ? a_stride : 0;
    b_strides_[i] = dims_[i].b_moves ? b_stride : 0;
    a_stride *= dims_[i].a_moves ? dims_[i].size : 1;
    b_stride *= dims_[i].b_moves ? dims_[i].size : 1;
  }
}

void BroadcastBinary::run_dim(size_t dim, const float* a, const float* b, float*& y) const {
  const Dim& d = dims_[dim];
  if (dim + 1 == dims_.size()) {
    kernels_.binary(op_, a, d.a_moves ? Operand::kVector : Operand::kScalar, b,
                    d.b_moves ? Operand::kVector : Operand::kScalar, y, d.size);
    y += d.size;
    return;
  }
  for (int64_t i = 0; i < d.size; ++i, a += a_strides_[dim], b += b_strides_[dim]) run_dim(dim + 1, a, b, y);
}

void BroadcastBinary::run(const float* a, const float* b, float* y) const { run_dim(0, a, b, y); }

}  // namespace lutra::cpu
