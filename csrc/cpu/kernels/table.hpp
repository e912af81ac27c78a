#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/activation.hpp"
#include "cpu/kernels/quantised.hpp"
#include "cpu/kernels/window2d.hpp"

namespace lutra::cpu {

/// `count` rounded up to whole cache lines: parts of a workspace start there, so that no vector straddles two
/// lines.
constexpr int64_t whole_lines(int64_t count) { return (count + 15) / 16 * 16; }

/// Rows of a matrix split into panels whose heights differ by at most one, so that no panel is too low to
/// hide the latency of the multiply-adds. Panel `i` starts at row `start(i)`.
struct RowPanels {
  RowPanels(int64_t rows_, int64_t highest)
      : rows(rows_), count((rows_ + highest - 1) / highest), low(rows_ / count), taller(rows_ % count) {}

  int64_t start(int64_t panel) const { return panel * low + std::min(panel, taller); }
  int64_t height(int64_t panel) const { return low + (panel < taller ? 1 : 0); }

  int64_t rows;
  int64_t count;
  int64_t low;     ///< height of the panels after the first `taller` ones
  int64_t taller;  ///< so many panels are one row higher
};

/// One cache block of C = clamp(A B + add + row_bias + column_bias), where A is M x K, B is K x N.
///
/// A is either packed (panel p holds element (r, k) at p * a_panel_stride + k * gemm_rows + r) or row-major
/// with row stride `a_row_stride`. B comes in panels of `gemm_columns` columns: element (k, c) of panel q at
/// q * b_panel_stride + k * b_row_stride + c; every panel is readable in its full width.
struct GemmBlock {
  RowPanels panels{1, 1};   ///< of all rows of C
  int64_t first_panel = 0;  ///< this block computes panels [first_panel, last_panel)
  int64_t last_panel = 0;
  int64_t columns = 0;  ///< of this block
  int64_t depth = 0;    ///< of this block
  bool a_packed = true;
  const float* a = nullptr;  ///< row 0 (or panel 0) at this block's first k
  int64_t a_panel_stride = 0;
  int64_t a_row_stride = 0;
  const float* b = nullptr;
  int64_t b_panel_stride = 0;
  int64_t b_row_stride = 0;
  float* c = nullptr;  ///< row 0 at this block's first column
  int64_t c_row_stride = 0;
  const float* add = nullptr;  ///< optional, laid out as `c`; may be `c` itself
  int64_t add_row_stride = 0;
  const float* row_bias = nullptr;     ///< optional, M values
  const float* column_bias = nullptr;  ///< optional, one value per column of this block
  Clamp clamp;
};

/// A matrix that exists only as addresses: element (k, n) is source[offsets[k] + (n / width) * row_stride + n
/// % width]. With `offsets` running over the taps of a filter this is im2col without the copy.
struct ColumnSource {
  const float* source = nullptr;
  const int64_t* offsets = nullptr;
  int64_t width = 0;               ///< columns that lie side by side in memory
  int64_t row_stride = 0;          ///< from one run of `width` columns to the next
  int64_t columns = 0;             ///< all columns
  bool readable_past_end = false;  ///< whether a whole vector may be read from any valid element
};

/// Rows of a matrix, to be copied. The two may not overlap.
struct RowCopy {
  const float* from = nullptr;
  int64_t from_stride = 0;
  float* to = nullptr;
  int64_t to_stride = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Output rows of one channel of a sliding window whose taps lie at source[offsets[t] + row * row_stride +
/// column]. The source is readable for one vector past any valid element.
struct WindowRows {
  const float* source = nullptr;
  const int64_t* offsets = nullptr;
  int64_t kernel_h = 0;
  int64_t kernel_w = 0;
  int64_t row_stride = 0;     ///< between the inputs of neighbouring output rows
  int64_t kernel_stride = 0;  ///< between the rows of the kernel; where both are equal, inputs are reused
  int64_t rows = 0;
  int64_t columns = 0;
  float* out = nullptr;            ///< rows x columns, dense
  const float* weights = nullptr;  ///< one per tap; weighted windows only
  float bias = 0.0F;
  const float* add = nullptr;  ///< optional, laid out as `out`; weighted windows only
  Clamp clamp;
};

/// Activations in blocks are N x C/8 x H x W x 8: eight channels of a pixel lie side by side, and where C is
/// not a multiple of eight the last block is padded with channels that nobody reads.
constexpr int64_t kChannelBlock = 8;

constexpr int64_t channel_blocks(int64_t channels) { return (channels + kChannelBlock - 1) / kChannelBlock; }

/// Where a tap finds the pixels of a tile: `pixel_step` apart, anywhere, or all of them in the padding.
enum class TapPixels : uint8_t { kEven, kUneven, kPadding };

/// Output channels of one panel of weights (`direct_columns` of them, in whole blocks) of a dense convolution
/// into blocks, over all output pixels and a range of input channels.
///
/// Pixels are taken `gemm_rows` at a time, across the ends of rows. `offsets` lists where each finds its
/// input: tap t of pixel r of tile i is at offsets[(i * taps + t) * direct_rows + r] floats from the start of
/// an input block, or in the padding where that is negative. (An indirection buffer after Dukhan, "The
/// Indirect Convolution Algorithm", 2019, though of offsets, so that it does not depend on where the input
/// lies.)
struct DirectConv {
  const float* x = nullptr;        ///< first input block
  int64_t x_blocks = 0;            ///< input blocks to sum over
  int64_t x_block_stride = 0;      ///< floats from one input block to the next
  int64_t channels_per_block = 0;  ///< channels of an input block, side by side
  int64_t channels_in_last = 0;    ///< channels of the last of the `x_blocks`; the others are full
  const int32_t* offsets = nullptr;
  const TapPixels* tap_pixels = nullptr;  ///< for each tap of each tile
  int64_t pixel_step = 0;                 ///< floats between the inputs of neighbours in an output row
  int64_t taps = 0;
  int64_t pixels = 0;      ///< of the whole output
  int64_t first_tile = 0;  ///< this call computes tiles [first_tile, last_tile)
  int64_t last_tile = 0;
  const float* weights = nullptr;  ///< [input block][tap][channel of the block][direct_columns]
  float* y = nullptr;    ///< first output block of the panel; blocks are pixels * kChannelBlock floats
  int64_t y_blocks = 0;  ///< output blocks of this panel: 1 to direct_columns / kChannelBlock
  const float* bias =
      nullptr;  ///< y_blocks * kChannelBlock values; nullptr: the sums go on from what `y` holds
  const float* add = nullptr;  ///< optional, laid out as `y`
  Clamp clamp;
};

/// A window that slides over one block of channels.
struct BlockWindow {
  const Window2d* window = nullptr;
  const float* x = nullptr;
  float* y = nullptr;
  const float* weights = nullptr;       ///< taps x kChannelBlock; weighted windows only
  const float* bias = nullptr;          ///< kChannelBlock values; weighted windows only
  const float* add = nullptr;           ///< optional, laid out as `y`; weighted windows only
  Clamp clamp;                          ///< weighted windows only
  const float* row_scale = nullptr;     ///< per output row; sums are multiplied by row_scale * column_scale
  const float* column_scale = nullptr;  ///< per output column
};

/// A window of weights that slides over one block of 8-bit channels.
struct QuantisedWindow {
  const Window2d* window = nullptr;
  const uint8_t* x = nullptr;
  int32_t x_zero = 0;
  uint8_t* y = nullptr;
  const float* weights = nullptr;     ///< taps x kChannelBlock integers
  const int32_t* bias = nullptr;      ///< kChannelBlock values
  const float* multiplier = nullptr;  ///< kChannelBlock values
  const uint8_t* add = nullptr;       ///< optional, laid out as `y`
  Requantisation requantisation;
};

/// Output channels of one panel of weights (up to `direct_columns`) of an 8-bit convolution, over `pixels`
/// output pixels.
///
/// The input has been staged, with its padding: as 16-bit numbers less its zero point where channels are
/// taken in pairs, as bytes as they are where they are taken in fours (see KernelTable::quantised_depth).
/// Pixel p and tap t find the channels of input block i at x + pixel_offsets[p] + tap_offsets[t] + i *
/// x_block_stride, all in numbers.
struct QuantisedConv {
  const void* x = nullptr;
  int64_t x_blocks = 0;
  int64_t x_block_stride = 0;
  int64_t slices_in_last = 0;  ///< of `quantised_depth` channels, in the last block; the others are full
  const int64_t* tap_offsets = nullptr;
  int64_t taps = 0;
  const int64_t* pixel_offsets = nullptr;
  int64_t pixels = 0;
  const int8_t* weights = nullptr;    ///< [input block][tap][slice][direct_columns][channel of the slice]
  const int32_t* bias = nullptr;      ///< direct_columns values
  const float* multiplier = nullptr;  ///< direct_columns values
  /// First of the pixels; channel c of pixel p is at p * y_pixel_stride + c / 8 * y_block_stride + c % 8.
  uint8_t* y = nullptr;
  const uint8_t* add = nullptr;  ///< optional, laid out as `y`
  int64_t y_pixel_stride = 0;
  int64_t y_block_stride = 0;
  int64_t first_channel = 0;  ///< of the panel
  int64_t channels = 0;       ///< that are written
  Requantisation requantisation;
};

/// Exact sums of one block of channels (eight side by side), made 8-bit.
struct QuantisedBlock {
  const float* sums = nullptr;  ///< pixels x 8 integers
  int64_t pixels = 0;
  const int32_t* bias = nullptr;      ///< 8 values
  const float* multiplier = nullptr;  ///< 8 values
  uint8_t* y = nullptr;
  const uint8_t* add = nullptr;  ///< optional, laid out as `y`
  Requantisation requantisation;
};

enum class BinaryOp { kAdd, kSub, kMul, kDiv, kPow, kMax };

/// How one operand of a row operation advances: a vector, or one value for the whole row.
enum class Operand { kVector, kScalar };

/// The kernels that are compiled once per instruction set. Everything else is built from these.
struct KernelTable {
  int64_t lanes;           ///< floats per vector
  int64_t gemm_rows;       ///< most rows of a packed panel of A
  int64_t gemm_columns;    ///< columns of a packed panel of B
  int64_t direct_rows;     ///< most pixels of a tile of a dense convolution in blocks
  int64_t direct_columns;  ///< output channels of a panel of its weights: whole blocks

  void (*gemm_block)(const GemmBlock& block);
  /// Packs rows [k0, k0 + depth) x columns [n0, n0 + count) of `source` into panels of B; the last panel is
  /// padded. Writes up to `gemm_columns` floats past the last panel.
  void (*pack_columns)(const ColumnSource& source, int64_t k0, int64_t depth, int64_t n0, int64_t count,
                       float* packed);
  void (*window_weighted)(const WindowRows& window);
  void (*window_sum)(const WindowRows& window);
  void (*window_max)(const WindowRows& window);
  void (*direct_conv)(const DirectConv& conv);
  void (*block_weighted)(const BlockWindow& window);
  void (*block_sum)(const BlockWindow& window);
  void (*block_max)(const BlockWindow& window);
  /// Whether `block_weighted` is as fast where windows reach into the padding as elsewhere.
  bool (*pads_freely)(const Window2d& window);
  /// Returns false, and does nothing, where there is no form for this window: its input is then to be
  /// widened.
  bool (*block_quantised)(const QuantisedWindow& window);
  void (*copy_rows)(const RowCopy& copy);
  /// As `copy_rows`, with even and odd columns apart: column c of a row, which starts at column
  /// `first_column`, goes to to[c / 2 + (c % 2) * odd_offset].
  void (*split_rows)(const RowCopy& copy, int64_t first_column, int64_t odd_offset);

  int64_t quantised_depth;  ///< input channels that `quantised_conv` takes at a time: 2 or 4
  void (*quantised_conv)(const QuantisedConv& conv);
  void (*requantise_block)(const QuantisedBlock& block);
  /// y = x - zero
  void (*widen)(const uint8_t* x, int32_t zero, int16_t* y, int64_t count);
  void (*widen_to_float)(const uint8_t* x, int32_t zero, float* y, int64_t count);
  /// y = rint(clamp(x * multiplier)) + zero
  void (*quantise)(const float* x, float multiplier, const Requantisation& to, uint8_t* y, int64_t count);
  /// y = (x - zero) * scale
  void (*dequantise)(const uint8_t* x, Quantisation from, float* y, int64_t count);
  /// As `Requantisation` says, with the sum a - a_zero; `y` may be `a`.
  void (*add_quantised)(const uint8_t* a, int32_t a_zero, float multiplier, const uint8_t* b,
                        const Requantisation& to, uint8_t* y, int64_t count);

  /// `y` may be `x`.
  void (*activate)(Activation activation, const float* x, float* y, int64_t count);
  void (*binary)(BinaryOp op, const float* a, Operand a_kind, const float* b, Operand b_kind, float* y,
                 int64_t count);
  void (*clip)(const float* x, Clamp bounds, float* y, int64_t count);
  /// y = x where x is positive, slope * x elsewhere.
  void (*leaky_relu)(const float* x, float slope, float* y, int64_t count);
  /// y = x * scale + shift
  void (*affine)(const float* x, float scale, float shift, float* y, int64_t count);
  /// y = (x - mean) * inverse_deviation * scale + shift; `scale` and `shift` are optional vectors.
  void (*normalise)(const float* x, float mean, float inverse_deviation, const float* scale,
                    const float* shift, float* y, int64_t count);
  /// y += x
  void (*accumulate)(const float* x, float* y, int64_t count);
  /// y = a + (b - a) * t
  void (*lerp)(const float* a, const float* b, float t, float* y, int64_t count);
  float (*sum)(const float* x, int64_t count);
  float (*largest)(const float* x, int64_t count);
  /// Sum of (x - mean)^2.
  float (*squared_deviation)(const float* x, float mean, int64_t count);
  /// Softmax of `scale * x`; `y` may be `x`.
  void (*softmax_row)(const float* x, float scale, float* y, int64_t count);
  /// Softmax over `length` rows of `inner` values, column by column. `scratch` holds 2 * inner floats.
  void (*softmax_columns)(const float* x, int64_t length, int64_t inner, float* y, float* scratch);
};

}  // namespace lutra::cpu
