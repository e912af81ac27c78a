#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/conv2d.hpp"
#include "cpu/kernels/quantised.hpp"

namespace lutra::cpu {

/// Most products that a 32-bit sum may hold: with a bias below 2^30 in magnitude it cannot overflow.
constexpr int64_t kMostSummed = int64_t{1} << 15;

/// The operands of one 8-bit convolution or linear layer. What 8-bit weights of output channel o stand for is
/// scale[o] * weight; the bias is in units of x's scale times that.
struct QuantisedArgs {
  const uint8_t* x = nullptr;
  const float* packed_weight = nullptr;
  const int32_t* bias = nullptr;      ///< optional
  const float* scale = nullptr;       ///< one per output channel
  const uint8_t* residual = nullptr;  ///< optional, shaped as the output
  uint8_t* y = nullptr;
  float* workspace = nullptr;
};

/// How `quantised_conv` reads its input: a byte x as x - shift, either in 16 bits or in 8, and the padding so
/// that sums with it are off by the same as others: by (zero - shift) times the sum of the weights.
struct QuantisedStaging {
  QuantisedStaging(int32_t zero, const KernelTable& kernels)
      : depth(kernels.quantised_depth), wide(depth == 2), shift(wide ? zero : 0), padding(zero - shift) {}

  int64_t floats(int64_t values) const { return whole_lines((values * (wide ? 2 : 1) + 3) / 4); }

  int64_t depth;  ///< channels of a slice
  bool wide;
  int32_t shift;
  int32_t padding;
};

/// 8-bit weights of `groups` groups, in panels of `columns` output channels: [group][panel][block of 8
/// inputs][tap][slice of `depth` inputs][column][depth], and behind them their sum for each column.
struct QuantisedPanels {
  int64_t groups = 1;
  int64_t outputs = 1;  ///< of a group
  int64_t inputs = 1;   ///< of a group
  int64_t taps = 1;
  int64_t columns = 1;
  int64_t depth = 1;

  int64_t per_group() const { return (outputs + columns - 1) / columns; }
  int64_t slices() const { return (inputs + depth - 1) / depth; }
  int64_t bytes() const { return slices() * taps * depth * columns; }  ///< of a panel
  int64_t all_columns() const { return groups * per_group() * columns; }
  int64_t weight_floats() const { return (groups * per_group() * bytes() + 3) / 4; }
  int64_t packed_floats() const { return weight_floats() + all_columns(); }
  /// Floats that `spread` fills: a bias and a multiplier for each column.
  int64_t column_floats() const { return 2 * whole_lines(all_columns()); }

  /// `weight` is int8, groups * outputs x inputs x taps.
  void pack(const int8_t* weight, float* packed) const;
  /// Points `conv` to one panel, with its bias and multipliers as `spread` has left them.
  void point(QuantisedConv& conv, int64_t group, int64_t panel, const float* packed,
             const float* spread) const;
  /// Biases and multipliers (ratio * scale) of all columns; zeros where a panel is not full. Biases are
  /// lowered by `padding` (see QuantisedStaging) times the sums of the weights.
  void spread(const QuantisedArgs& args, float ratio, int32_t padding, float* spread) const;
};

/// Which output rows are computed in one go, and the padded input that these read.
struct StripShape {
  StripShape(const Window2d& window, int64_t blocks, int64_t most_values);

  int64_t in_rows(int64_t out_rows) const;
  /// Values of one block of the largest strip.
  int64_t block_values() const { return in_rows(rows) * columns * 8; }

  Window2d window;
  int64_t columns;  ///< of the padded input
  int64_t rows;     ///< output rows of a strip; the last strip may have fewer
};

/// 8-bit convolution, dense or in groups of any size, into blocks of channels. x is in blocks too, or plain.
class QuantisedConv2d {
 public:
  QuantisedConv2d(const Conv2dShape& shape, bool plain_input, const QuantisedOperands& operands,
                  const KernelTable& kernels);

  int64_t packed_floats() const { return panels_.packed_floats(); }
  int64_t workspace_floats() const;
  /// `weight` is int8, out_channels x in_channels / groups x kernel_h x kernel_w.
  void pack(const int8_t* weight, float* packed) const { panels_.pack(weight, packed); }
  void run(const QuantisedArgs& args) const;

 private:
  struct Part {
    int64_t image;
    int64_t group;
    int64_t first_row;
  };
  int64_t group_inputs() const { return shape_.in_channels / shape_.groups; }
  int64_t group_outputs() const { return shape_.out_channels / shape_.groups; }
  int64_t input_blocks() const { return channel_blocks(group_inputs()); }
  /// Whether x needs no staging.
  bool reads_in_place() const;
  template <class T>
  void stage(const uint8_t* x, const Part& part, T* staged) const;
  template <class T>
  void stage_row(const uint8_t* x, const Part& part, int64_t block, int64_t row, T* to, int64_t pixels) const;
  /// Where `quantised_conv` finds the input of one strip: in x, or staged.
  const void* staged_input(const uint8_t* x, const Part& part, float* staged) const;
  void run_strip(const QuantisedArgs& args, const Part& part, QuantisedConv conv) const;

  Conv2dShape shape_;
  bool plain_input_;
  QuantisedOperands operands_;
  const KernelTable& kernels_;
  QuantisedStaging staging_;
  QuantisedPanels panels_;
  StripShape strip_;
  std::vector<int64_t> tap_offsets_;
  std::vector<int64_t> pixel_offsets_;
};

/// 8-bit depthwise convolution in blocks: one input and one output channel per group. Sums are exact in
/// float32.
class QuantisedDepthwise {
 public:
  QuantisedDepthwise(const Conv2dShape& shape, const QuantisedOperands& operands, const KernelTable& kernels);

  int64_t packed_floats() const {
    return channel_blocks(shape_.out_channels) * kChannelBlock * shape_.window.taps();
  }
  int64_t workspace_floats() const;
  void pack(const int8_t* weight, float* packed) const;
  void run(const QuantisedArgs& args) const;

  /// Whether it can compute this convolution.
  static bool fits(const Conv2dShape& shape);

 private:
  int64_t channels() const { return channel_blocks(shape_.out_channels) * kChannelBlock; }
  int64_t sum_floats() const { return strip_.rows * shape_.window.out_w * kChannelBlock; }
  bool run_in_place(const QuantisedArgs& args, int64_t plane, const QuantisedBlock& block) const;

  Conv2dShape shape_;
  QuantisedOperands operands_;
  const KernelTable& kernels_;
  StripShape strip_;
};

/// y = x W^T in 8 bits: x is rows x depth, W outputs x depth, y rows x outputs, all plain.
class QuantisedLinear {
 public:
  struct Shape {
    int64_t rows = 1;
    int64_t outputs = 1;
    int64_t depth = 1;
  };
  QuantisedLinear(const Shape& shape, const QuantisedOperands& operands, const KernelTable& kernels);

  int64_t packed_floats() const { return panels_.packed_floats(); }
  int64_t workspace_floats() const;
  void pack(const int8_t* weight, float* packed) const { panels_.pack(weight, packed); }
  void run(const QuantisedArgs& args) const;

 private:
  int64_t row_values() const { return channel_blocks(shape_.depth) * kChannelBlock; }
  template <class T>
  void stage(const uint8_t* x, int64_t rows, T* staged) const;

  Shape shape_;
  QuantisedOperands operands_;
  const KernelTable& kernels_;
  QuantisedStaging staging_;
  QuantisedPanels panels_;
  int64_t strip_rows_;
  std::vector<int64_t> row_offsets_;
};

}  // namespace lutra::cpu
