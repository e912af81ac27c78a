// Everything that is compiled once per instruction set. The including file sets LUTRA_ISA (a namespace),
// LUTRA_LANES, LUTRA_GEMM_ROWS, LUTRA_GEMM_VECTORS, LUTRA_DIRECT_ROWS and LUTRA_DIRECT_VECTORS, may set
// LUTRA_MULTIPLY_PAIRS (the instruction that adds products of 16-bit neighbours), LUTRA_PACK_BYTES and
// LUTRA_WIDEN_BYTES (for a vector of 32-bit integers, to and from the first bytes of an __m128i) and
// LUTRA_PIXEL_PAIRS (block_pairs.inl is for this instruction set), and has included the standard headers and
// cpu/kernels/table.hpp *before* it changed the compiler's target: functions of those headers stay baseline
// code, so that no copy of an inline function that the linker keeps can hold instructions this machine lacks.

// clang-format off: the order matters
#include "cpu/kernels/isa/vector.inl"
#include "cpu/kernels/isa/math.inl"
#include "cpu/kernels/isa/gemm.inl"
#include "cpu/kernels/isa/columns.inl"
#include "cpu/kernels/isa/copy.inl"
#include "cpu/kernels/isa/window.inl"
#include "cpu/kernels/isa/tile.inl"
#include "cpu/kernels/isa/direct.inl"
#include "cpu/kernels/isa/bytes.inl"
#if LUTRA_PIXEL_PAIRS
#include "cpu/kernels/isa/block_pairs.inl"
#endif
#include "cpu/kernels/isa/block_window.inl"
#include "cpu/kernels/isa/quantised.inl"
#include "cpu/kernels/isa/quantised_conv.inl"
#include "cpu/kernels/isa/elementwise.inl"
#include "cpu/kernels/isa/rows.inl"
// clang-format on

namespace lutra::cpu::LUTRA_ISA {

static constexpr KernelTable kTable{
    .lanes = kLanes,
    .gemm_rows = kGemmRows,
    .gemm_columns = kGemmColumns,
    .direct_rows = kDirectRows,
    .direct_columns = kDirectColumns,
    .gemm_block = &gemm_block,
    .pack_columns = &pack_columns,
    .window_weighted = &window_rows<WindowKind::kWeighted>,
    .window_sum = &window_rows<WindowKind::kSum>,
    .window_max = &window_rows<WindowKind::kMax>,
    .direct_conv = &direct_conv,
    .block_weighted = &block_window<WindowKind::kWeighted>,
    .block_sum = &block_window<WindowKind::kSum>,
    .block_max = &block_window<WindowKind::kMax>,
    .pads_freely = &pads_freely,
    .block_quantised = &block_quantised,
    .copy_rows = &copy_rows,
    .split_rows = &split_rows,
    .quantised_depth = kQuantisedDepth,
    .quantised_conv = &quantised_conv,
    .requantise_block = &requantise_block,
    .widen = &widen,
    .widen_to_float = &widen_to_float,
    .quantise = &quantise,
    .dequantise = &dequantise,
    .add_quantised = &add_quantised,
    .activate = &activate,
    .binary = &binary,
    .clip = &clip,
    .leaky_relu = &leaky_relu,
    .affine = &affine,
    .normalise = &normalise,
    .accumulate = &accumulate,
    .lerp = &lerp,
    .sum = &sum,
    .largest = &largest,
    .squared_deviation = &squared_deviation,
    .softmax_row = &softmax_row,
    .softmax_columns = &softmax_columns,
};

}  // namespace lutra::cpu::LUTRA_ISA
