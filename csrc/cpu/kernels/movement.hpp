#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/table.hpp"
#include "cpu/tensor.hpp"

namespace lutra::cpu {

// Operations that compute nothing and only move floats.

/// Joins tensors along an axis: input i contributes `parts[i]` consecutive floats (its length x inner) to
/// each of `outer` rows.
void concat(int64_t outer, const std::vector<int64_t>& parts, const std::vector<const void*>& x, float* y);

/// The inverse of `concat`.
void split(int64_t outer, const std::vector<int64_t>& parts, const float* x, const std::vector<void*>& y);

/// Every `step`-th of `length` slabs of `inner` floats, from slab `start` on, in each of `outer` rows.
struct SliceShape {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 1;
};

void slice(const SliceShape& shape, const float* x, float* y);

/// Surrounds x with `value`; `before` holds the padding in front of each dimension.
struct PadShape {
  Shape in;
  Shape out;
  std::vector<int64_t> before;
  float value = 0.0F;
};

void pad(const PadShape& shape, const float* x, float* y);

/// Channels seen as groups x (channels / groups) and transposed; `inner` floats per channel.
void channel_shuffle(int64_t batch, int64_t channels, int64_t inner, int64_t groups, const float* x,
                     float* y);

/// Dimension i of y is dimension `order[i]` of x.
class Transpose {
 public:
  Transpose(const Shape& shape, const std::vector<int64_t>& order);
  void run(const float* x, float* y) const;

 private:
  void run_dim(size_t dim, const float* x, float* y) const;
  void swap_last_two(const float* x, float* y) const;

  Shape out_;                         ///< dimensions of y, merged where they are neighbours in x too
  std::vector<int64_t> in_strides_;   ///< of x, along the dimensions of y
  std::vector<int64_t> out_strides_;  ///< of y
};

/// Repeats the axes of `from` that are 1 up to `to`; missing ones in front count as 1.
void expand(const Shape& from, const Shape& to, const float* x, float* y);

/// Rows `ids[i]` of a vocabulary x width table. Throws std::invalid_argument for an id that is not in it.
void embedding(const int64_t* ids, int64_t count, const float* table, int64_t vocabulary, int64_t width,
               float* y);

}  // namespace lutra::cpu
