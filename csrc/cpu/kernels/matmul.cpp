#include "cpu/kernels/matmul.hpp"

#include "cpu/kernels/gemm.hpp"

namespace lutra::cpu {

int64_t matmul_workspace_floats(const KernelTable& kernels, const MatmulShape& shape) {
  return packed_b_floats(kernels, shape.depth, shape.columns);
}

void matmul(const KernelTable& kernels, const MatmulShape& shape, const float* a, const float* b, float* c,
            float* workspace) {
  GemmTask task;
  task.rows = shape.rows;
  task.columns = shape.columns;
  task.depth = shape.depth;
  task.a_row_stride = shape.depth;
  task.c_row_stride = shape.columns;
  for (size_t i = 0; i < shape.a_offsets.size(); ++i) {
    // Products that share B (a batch of A against one matrix) share its packing.
    if (i == 0 || shape.b_offsets[i] != shape.b_offsets[i - 1]) {
      const float* right = b + shape.b_offsets[i];
      const StridedMatrix matrix =
          shape.transpose_b ? StridedMatrix{right, 1, shape.depth} : StridedMatrix{right, shape.columns, 1};
      pack_b(kernels, matrix, shape.depth, shape.columns, workspace);
    }
    task.a = a + shape.a_offsets[i];
    task.c = c + static_cast<int64_t>(i) * shape.rows * shape.columns;
    gemm(kernels, task, workspace);
  }
}

int64_t linear_packed_floats(const KernelTable& kernels, const LinearShape& shape) {
  return packed_b_floats(kernels, shape.depth, shape.columns);
}

void linear_pack(const KernelTable& kernels, const LinearShape& shape, const float* weight, float* packed) {
  pack_b(kernels, {weight, 1, shape.depth}, shape.depth, shape.columns, packed);
}

void linear(const KernelTable& kernels, const LinearShape& shape, Activation activation,
            const LinearArgs& args) {
  GemmTask task;
  task.rows = shape.rows;
  task.columns = shape.columns;
  task.depth = shape.depth;
  task.a = args.x;
  task.a_row_stride = shape.depth;
  task.c = args.y;
  task.c_row_stride = shape.columns;
  task.column_bias = args.bias;
  task.residual = args.residual;
  task.activation = activation;
  gemm(kernels, task, args.packed_weight);
}

}  // namespace lutra::cpu
