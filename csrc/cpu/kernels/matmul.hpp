#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

/// Many products C[i] = A B, one per entry of the offsets (in floats from the start of each operand). A is
/// rows x depth, B is depth x columns or, transposed, columns x depth; C's follow one another.
struct MatmulShape {
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t depth = 1;
  bool transpose_b = false;
  std::vector<int64_t> a_offsets;
  std::vector<int64_t> b_offsets;
};

int64_t matmul_workspace_floats(const KernelTable& kernels, const MatmulShape& shape);
void matmul(const KernelTable& kernels, const MatmulShape& shape, const float* a, const float* b, float* c,
            float* workspace);

/// y = activation(x W^T + bias + residual); x is rows x depth, W is columns x depth and packed.
struct LinearShape {
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t depth = 1;
};

struct LinearArgs {
  const float* x = nullptr;
  const float* packed_weight = nullptr;
  const float* bias = nullptr;      ///< optional
  const float* residual = nullptr;  ///< optional
  float* y = nullptr;
};

int64_t linear_packed_floats(const KernelTable& kernels, const LinearShape& shape);
void linear_pack(const KernelTable& kernels, const LinearShape& shape, const float* weight, float* packed);
void linear(const KernelTable& kernels, const LinearShape& shape, Activation activation,
            const LinearArgs& args);

}  // namespace lutra::cpu
