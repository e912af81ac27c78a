#pragma once

#include <cstdint>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

/// C = activation(A B + row_bias + column_bias + residual); A is rows x depth, B is depth x columns.
struct GemmTask {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  const float* a = nullptr;  ///< packed by `pack_a`, or row-major
  bool a_packed = false;
  int64_t a_row_stride = 0;  ///< row-major A only
  float* c = nullptr;
  int64_t c_row_stride = 0;
  const float* row_bias = nullptr;     ///< optional
  const float* column_bias = nullptr;  ///< optional
  const float* residual = nullptr;     ///< optional, row stride as C
  Activation activation = Activation::kNone;
};

/// Any matrix in memory, transposed or not: element (i, j) at data[i * row_stride + j * column_stride].
struct StridedMatrix {
  const float* data;
  int64_t row_stride;
  int64_t column_stride;
};

int64_t packed_a_floats(const KernelTable& kernels, int64_t rows, int64_t depth);
void pack_a(const KernelTable& kernels, const StridedMatrix& a, int64_t rows, int64_t depth, float* packed);

int64_t packed_b_floats(const KernelTable& kernels, int64_t depth, int64_t columns);
void pack_b(const KernelTable& kernels, const StridedMatrix& b, int64_t depth, int64_t columns,
            float* packed);

/// With B from `pack_b`.
void gemm(const KernelTable& kernels, const GemmTask& task, const float* packed_b);

/// With B read through `source`, block by block. `workspace` holds `gemm_workspace_floats`.
void gemm(const KernelTable& kernels, const GemmTask& task, const ColumnSource& source, float* workspace);
int64_t gemm_workspace_floats(const KernelTable& kernels, int64_t rows, int64_t columns, int64_t depth);

}  // namespace lutra::cpu
