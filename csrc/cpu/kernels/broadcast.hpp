#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/kernels/table.hpp"
#include "cpu/tensor.hpp"

namespace lutra::cpu {

/// The shape that numpy's broadcasting rules give, if there is one.
std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b);

/// y = a op b with broadcasting: dimensions along which both operands advance alike are merged, the innermost
/// runs in a vector kernel, the others are counted.
class BroadcastBinary {
 public:
  /// Shapes must be compatible.
  BroadcastBinary(BinaryOp op, const Shape& a, const Shape& b, const KernelTable& kernels);

  void run(const float* a, const float* b, float* y) const;

 private:
  struct Dim {
    int64_t size;
    bool a_moves;
    bool b_moves;
  };
  void run_dim(size_t dim, const float* a, const float* b, float*& y) const;

  BinaryOp op_;
  const KernelTable& kernels_;
  std::vector<Dim> dims_;           ///< outermost first
  std::vector<int64_t> a_strides_;  ///< floats; 0 where an operand stands still
  std::vector<int64_t> b_strides_;
};

}  // namespace lutra::cpu
