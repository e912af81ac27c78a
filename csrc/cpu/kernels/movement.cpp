#include "cpu/kernels/movement.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lutra::cpu {

namespace {

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

void pad_dim(const PadShape& shape, size_t dim, const float*& x, float*& y) {
  if (dim == shape.in.size()) {
    *y++ = *x++;
    return;
  }
  const int64_t inner = product(shape.out, dim + 1, shape.out.size());
  const int64_t before = shape.before[dim];
  const int64_t after = shape.out[dim] - before - shape.in[dim];
  y = std::fill_n(y, before * inner, shape.value);
  if (inner == product(shape.in, dim + 1, shape.in.size())) {
    const int64_t count = shape.in[dim] * inner;
    y = std::copy_n(x, count, y);
    x += count;
  } else {
    for (int64_t i = 0; i < shape.in[dim]; ++i) pad_dim(shape, dim + 1, x, y);
  }
  y = std::fill_n(y, after * inner, shape.value);
}

}  // namespace

void concat(int64_t outer, const std::vector<int64_t>& parts, const std::vector<const void*>& x, float* y) {
  for (int64_t row = 0; row < outer; ++row)
    for (size_t i = 0; i < parts.size(); ++i)
      y = std::copy_n(static_cast<const float*>(x[i]) + row * parts[i], parts[i], y);
}

void split(int64_t outer, const std::vector<int64_t>& parts, const float* x, const std::vector<void*>& y) {
  for (int64_t row = 0; row < outer; ++row)
    for (size_t i = 0; i < parts.size(); ++i) {
      std::copy_n(x, parts[i], static_cast<float*>(y[i]) + row * parts[i]);
      x += parts[i];
    }
}

void slice(const SliceShape& shape, const float* x, float* y) {
  for (int64_t row = 0; row < shape.outer; ++row, x += shape.length * shape.inner) {
    if (shape.step == 1) {
      y = std::copy_n(x + shape.start * shape.inner, shape.count * shape.inner, y);
      continue;
    }
    for (int64_t i = 0; i < shape.count; ++i)
      y = std::copy_n(x + (shape.start + i * shape.step) * shape.inner, shape.inner, y);
  }
}

void pad(const PadShape& shape, const float* x, float* y) { pad_dim(shape, 0, x, y); }

void channel_shuffle(int64_t batch, int64_t channels, int64_t inner, int64_t groups, const float* x,
                     float* y) {
  const int64_t per_group = channels / groups;
  for (int64_t image = 0; image < batch; ++image, x += channels * inner)
    for (int64_t i = 0; i < per_group; ++i)
      for (int64_t group = 0; group < groups; ++group)
        y = std::copy_n(x + (group * per_group + i) * inner, inner, y);
}

Transpose::Transpose(const Shape& shape, const std::vector<int64_t>& order) {
  const std::vector<int64_t> strides = strides_of(shape);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto from = static_cast<size_t>(order[i]);
    if (shape[from] == 1) continue;
    if (!out_.empty() && in_strides_.back() == shape[from] * strides[from]) {
      out_.back() *= shape[from];
      in_strides_.back() = strides[from];
    } else {
      out_.push_back(shape[from]);
      in_strides_.push_back(strides[from]);
    }
  }
  if (out_.empty()) {
    out_.push_back(1);
    in_strides_.push_back(1);
  }
  out_strides_ = strides_of(out_);
}

// The innermost dimension of y is strided in x; some other dimension of y is contiguous there. Small squares
// over the two keep every cache line that is touched in use.
void Transpose::swap_last_two(const float* x, float* y) const {
  constexpr int64_t kSquare = 16;
  const size_t last = out_.size() - 1;
  const int64_t rows = out_[last - 1];
  const int64_t columns = out_[last];
  const int64_t row_stride = in_strides_[last - 1];
  const int64_t column_stride = in_strides_[last];
  for (int64_t r0 = 0; r0 < rows; r0 += kSquare)
    for (int64_t c0 = 0; c0 < columns; c0 += kSquare) {
      const int64_t r1 = std::min(r0 + kSquare, rows);
      const int64_t c1 = std::min(c0 + kSquare, columns);
      for (int64_t r = r0; r < r1; ++r)
        for (int64_t c = c0; c < c1; ++c) y[r * columns + c] = x[r * row_stride + c * column_stride];
    }
}

void Transpose::run_dim(size_t dim, const float* x, float* y) const {
  if (dim + 1 == out_.size()) {
    if (in_strides_[dim] == 1)
      std::copy_n(x, out_[dim], y);
    else
      for (int64_t i = 0; i < out_[dim]; ++i) y[i] = x[i * in_strides_[dim]];
    return;
  }
  if (dim + 2 == out_.size() && in_strides_[dim + 1] != 1) return swap_last_two(x, y);
  for (int64_t i = 0; i < out_[dim]; ++i)
    run_dim(dim + 1, x + i * in_strides_[dim], y + i * out_strides_[dim]);
}

void Transpose::run(const float* x, float* y) const { run_dim(0, x, y); }

namespace {

// Writes what dimension `dim` and those behind it hold; the slabs of a repeated dimension are copies of the
// first.
const float* expand_dim(const Shape& from, const Shape& to, size_t dim, const float* x, float* y) {
  if (dim == to.size()) {
    *y = *x;
    return x + 1;
  }
  const int64_t slab = product(to, dim + 1, to.size());
  if (from[dim] == to[dim] && product(from, dim, from.size()) == to[dim] * slab) {
    std::copy_n(x, to[dim] * slab, y);
    return x + to[dim] * slab;
  }
  for (int64_t i = 0; i < from[dim]; ++i) x = expand_dim(from, to, dim + 1, x, y + i * slab);
  for (int64_t i = from[dim]; i < to[dim]; ++i) std::copy_n(y, slab, y + i * slab);
  return x;
}

}  // namespace

void expand(const Shape& from, const Shape& to, const float* x, float* y) {
  Shape padded(to.size() - from.size(), 1);
  padded.insert(padded.end(), from.begin(), from.end());
  expand_dim(padded, to, 0, x, y);
}

void embedding(const int64_t* ids, int64_t count, const float* table, int64_t vocabulary, int64_t width,
               float* y) {
  for (int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary)
      throw std::invalid_argument("embedding: id " + std::to_string(ids[i]) + " is not in 0 ... " +
                                  std::to_string(vocabulary - 1));
    y = std::copy_n(table + ids[i] * width, width, y);
  }
}

}  // namespace lutra::cpu
