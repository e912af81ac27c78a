#include "cpu/kernels/gemm.hpp"

#include <algorithm>

namespace lutra::cpu {

namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Cache blocking after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a
// panel of B (depth x gemm_columns) stays in the first-level cache, a block of B and one of A share the
// second level.
constexpr int64_t kDepthBlock = 256;
constexpr int64_t kBlockFloatsOfB = 48 * 1024;
constexpr int64_t kBlockFloatsOfA = 32 * 1024;

struct Blocking {
  Blocking(const KernelTable& kernels, int64_t rows, int64_t all_columns, int64_t whole_depth) {
    // With a single panel of rows nothing of B is used twice, and splitting the depth only costs.
    const int64_t slices = rows <= kernels.gemm_rows ? 1 : ceil_div(whole_depth, kDepthBlock);
    depth = ceil_div(whole_depth, slices);
    const int64_t wanted = std::max<int64_t>(1, kBlockFloatsOfB / (depth * kernels.gemm_columns));
    const int64_t b_panels = std::min(wanted, ceil_div(all_columns, kernels.gemm_columns));
    columns = b_panels * kernels.gemm_columns;
    a_panels = std::max<int64_t>(1, kBlockFloatsOfA / (depth * kernels.gemm_rows));
  }

  int64_t depth;
  int64_t columns;
  int64_t a_panels;
};

struct PanelsOfB {
  const float* data;
  int64_t panel_stride;
  int64_t row_stride;
};

struct Range {
  int64_t first;
  int64_t count;
};

GemmBlock block_of(const KernelTable& kernels, const GemmTask& task, const PanelsOfB& b, Range depth,
                   Range columns) {
  GemmBlock block;
  block.panels = RowPanels(task.rows, kernels.gemm_rows);
  block.columns = columns.count;
  block.depth = depth.count;
  block.a_packed = task.a_packed;
  block.a = task.a + depth.first * (task.a_packed ? kernels.gemm_rows : 1);
  block.a_panel_stride = task.depth * kernels.gemm_rows;
  block.a_row_stride = task.a_row_stride;
  block.b = b.data;
  block.b_panel_stride = b.panel_stride;
  block.b_row_stride = b.row_stride;
  block.c = task.c + columns.first;
  block.c_row_stride = task.c_row_stride;
  block.add_row_stride = task.c_row_stride;
  if (depth.first == 0) {
    block.add = task.residual ? task.residual + columns.first : nullptr;
    block.row_bias = task.row_bias;
    block.column_bias = task.column_bias ? task.column_bias + columns.first : nullptr;
  } else {
    block.add = block.c;
  }
  if (depth.first + depth.count == task.depth) block.clamp = clamp_of(task.activation);
  return block;
}

// `panels_at(depth, columns)` yields B's panels for one block, packing them if need be.
template <class PanelsAt>
void run_blocks(const KernelTable& kernels, const GemmTask& task, const Blocking& blocking,
                PanelsAt panels_at) {
  for (int64_t n = 0; n < task.columns; n += blocking.columns) {
    const Range columns{n, std::min(blocking.columns, task.columns - n)};
    for (int64_t k = 0; k < task.depth; k += blocking.depth) {
      const Range depth{k, std::min(blocking.depth, task.depth - k)};
      GemmBlock block = block_of(kernels, task, panels_at(depth, columns), depth, columns);
      for (int64_t panel = 0; panel < block.panels.count; panel += blocking.a_panels) {
        block.first_panel = panel;
        block.last_panel = std::min(panel + blocking.a_panels, block.panels.count);
        kernels.gemm_block(block);
      }
    }
    if (is_clamp(task.activation)) continue;
    for (int64_t row = 0; row < task.rows; ++row) {
      float* c = task.c + row * task.c_row_stride + n;
      kernels.activate(task.activation, c, c, columns.count);
    }
  }
}

}  // namespace

int64_t packed_a_floats(const KernelTable& kernels, int64_t rows, int64_t depth) {
  return RowPanels(rows, kernels.gemm_rows).count * kernels.gemm_rows * depth;
}

void pack_a(const KernelTable& kernels, const StridedMatrix& a, int64_t rows, int64_t depth, float* packed) {
  const RowPanels panels(rows, kernels.gemm_rows);
  std::fill_n(packed, packed_a_floats(kernels, rows, depth), 0.0F);
  for (int64_t panel = 0; panel < panels.count; ++panel, packed += depth * kernels.gemm_rows)
    for (int64_t r = 0; r < panels.height(panel); ++r) {
      const float* from = a.data + (panels.start(panel) + r) * a.row_stride;
      for (int64_t k = 0; k < depth; ++k) packed[k * kernels.gemm_rows + r] = from[k * a.column_stride];
    }
}

int64_t packed_b_floats(const KernelTable& kernels, int64_t depth, int64_t columns) {
  return ceil_div(columns, kernels.gemm_columns) * kernels.gemm_columns * depth;
}

void pack_b(const KernelTable& kernels, const StridedMatrix& b, int64_t depth, int64_t columns,
            float* packed) {
  const int64_t width = kernels.gemm_columns;
  for (int64_t n = 0; n < columns; n += width, packed += depth * width) {
    const int64_t count = std::min(width, columns - n);
    const float* from = b.data + n * b.column_stride;
    for (int64_t k = 0; k < depth; ++k) {
      float* row = packed + k * width;
      if (b.column_stride == 1)
        std::copy_n(from + k * b.row_stride, count, row);
      else
        for (int64_t c = 0; c < count; ++c) row[c] = from[k * b.row_stride + c * b.column_stride];
      std::fill(row + count, row + width, 0.0F);
    }
  }
}

void gemm(const KernelTable& kernels, const GemmTask& task, const float* packed_b) {
  const Blocking blocking(kernels, task.rows, task.columns, task.depth);
  const int64_t width = kernels.gemm_columns;
  run_blocks(kernels, task, blocking, [&](Range depth, Range columns) {
    // Blocks start at a multiple of the panel width.
    const float* panel = packed_b + columns.first * task.depth;
    return PanelsOfB{panel + depth.first * width, task.depth * width, width};
  });
}

void gemm(const KernelTable& kernels, const GemmTask& task, const ColumnSource& source, float* workspace) {
  const Blocking blocking(kernels, task.rows, task.columns, task.depth);
  const int64_t width = kernels.gemm_columns;
  run_blocks(kernels, task, blocking, [&](Range depth, Range columns) {
    kernels.pack_columns(source, depth.first, depth.count, columns.first, columns.count, workspace);
    return PanelsOfB{workspace, depth.count * width, width};
  });
}

int64_t gemm_workspace_floats(const KernelTable& kernels, int64_t rows, int64_t columns, int64_t depth) {
  const Blocking blocking(kernels, rows, columns, depth);
  return blocking.depth * blocking.columns + kernels.gemm_columns;  // one spill-over row, see pack_columns
}

}  // namespace lutra::cpu
