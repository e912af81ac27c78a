#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/conv2d.hpp"

namespace lutra::cpu {

/// y = activation(conv(x) + bias + residual) with y (and residual) in blocks of channels. x is in blocks too,
/// or plain N x C x H x W: the way an image enters a network.
///
/// With several groups, the channels of each must be whole blocks, in and out.
class BlockedConv2d {
 public:
  BlockedConv2d(const Conv2dShape& shape, bool plain_input, Activation activation,
                const KernelTable& kernels);

  int64_t packed_floats() const;
  int64_t workspace_floats() const;
  void pack(const float* weight, float* packed) const;
  void run(const ConvArgs& args) const;

 private:
  int64_t group_inputs() const { return shape_.in_channels / shape_.groups; }
  int64_t group_outputs() const { return shape_.out_channels / shape_.groups; }
  int64_t input_blocks() const { return (group_inputs() + block_ - 1) / block_; }
  int64_t panel_blocks() const { return kernels_.direct_columns / kChannelBlock; }
  int64_t panels() const;
  int64_t panel_floats() const { return group_inputs() * shape_.window.taps() * kernels_.direct_columns; }
  struct Part {
    int64_t image;
    int64_t group;
  };
  void run_part(const ConvArgs& args, const Part& part) const;
  void run_chunk(const ConvArgs& args, const Part& part, int64_t chunk, DirectConv conv) const;
  void activate(const DirectConv& conv) const;

  Conv2dShape shape_;
  int64_t block_;         ///< channels of x that lie side by side
  int64_t chunk_blocks_;  ///< input blocks that are summed over in one go
  int64_t strip_tiles_;   ///< tiles of pixels whose input stays in cache meanwhile
  Activation activation_;
  const KernelTable& kernels_;
  std::vector<int32_t> offsets_;  ///< see DirectConv
  std::vector<TapPixels> tap_pixels_;
};

/// Depthwise convolution in blocks: one input and one output channel per group.
class BlockedDepthwise {
 public:
  BlockedDepthwise(const Conv2dShape& shape, Activation activation, const KernelTable& kernels);

  int64_t packed_floats() const {
    return channel_blocks(shape_.out_channels) * kChannelBlock * shape_.window.taps();
  }
  int64_t workspace_floats() const;
  void pack(const float* weight, float* packed) const;
  void run(const ConvArgs& args) const;

 private:
  bool staged() const;
  void stage(const float* x, float* staged) const;

  Conv2dShape shape_;
  Window2d padded_;  ///< the same outputs, over an image with its padding
  Activation activation_;
  const KernelTable& kernels_;
};

/// Whether `BlockedConv2d` (dense and grouped) or `BlockedDepthwise` can compute it.
bool has_blocked_form(const Conv2dShape& shape);

}  // namespace lutra::cpu
