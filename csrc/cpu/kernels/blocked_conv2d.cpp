#include "cpu/kernels/blocked_conv2d.hpp"

#include <algorithm>
#include <limits>

namespace lutra::cpu {

namespace {

// Rows of a panel of weights (one per tap and input channel) that the first-level cache holds beside the
// pixels they meet.
constexpr int64_t kChunkRows = 256;

// Input of the pixels that all output channels are computed for before the next ones: it shares the
// second-level cache with weights and output.
constexpr int64_t kStripFloats = 32 * 1024;

// Small images are copied between margins of zeros, so that every window is a whole one: the copy stays in
// the first-level cache, and rows of few pixels have no edges to treat apart.
constexpr int64_t kMostStagedPixels = 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Floats from the start of an input block to what tap `tap` of output pixel `pixel` reads; -1 in the padding.
int32_t input_offset(const Window2d& w, int64_t pixel, int64_t tap, int64_t pixel_floats) {
  const int64_t ih = pixel / w.out_w * w.stride_h - w.pad_top + tap / w.kernel_w * w.dilation_h;
  const int64_t iw = pixel % w.out_w * w.stride_w - w.pad_left + tap % w.kernel_w * w.dilation_w;
  if (ih < 0 || ih >= w.in_h || iw < 0 || iw >= w.in_w) return -1;
  return static_cast<int32_t>((ih * w.in_w + iw) * pixel_floats);
}

std::vector<int32_t> input_offsets(const Window2d& w, int64_t pixel_floats, int64_t tile_rows) {
  const RowPanels tiles(w.out_size(), tile_rows);
  std::vector<int32_t> offsets(static_cast<size_t>(tiles.count * w.taps() * tile_rows), -1);
  for (int64_t tile = 0; tile < tiles.count; ++tile)
    for (int64_t tap = 0; tap < w.taps(); ++tap)
      for (int64_t r = 0; r < tiles.height(tile); ++r)
        offsets[static_cast<size_t>((tile * w.taps() + tap) * tile_rows + r)] =
            input_offset(w, tiles.start(tile) + r, tap, pixel_floats);
  return offsets;
}

// See DirectConv::tap_pixels.
std::vector<TapPixels> find_tap_pixels(const std::vector<int32_t>& offsets, const Window2d& w, int64_t step,
                                       int64_t tile_rows) {
  const RowPanels tiles(w.out_size(), tile_rows);
  std::vector<TapPixels> found(static_cast<size_t>(tiles.count * w.taps()), TapPixels::kEven);
  for (size_t i = 0; i < found.size(); ++i) {
    const int32_t* of_pixels = offsets.data() + static_cast<int64_t>(i) * tile_rows;
    const int64_t pixels = tiles.height(static_cast<int64_t>(i) / w.taps());
    for (int64_t r = 0; r < pixels; ++r)
      if (of_pixels[r] < 0 || of_pixels[r] != of_pixels[0] + r * step) found[i] = TapPixels::kUneven;
    if (std::all_of(of_pixels, of_pixels + pixels, [](int32_t offset) { return offset < 0; }))
      found[i] = TapPixels::kPadding;
  }
  return found;
}

// A bias for whole blocks; zeros where there is none.
void pad_bias(const float* bias, int64_t channels, float* padded) {
  std::fill_n(padded, channel_blocks(channels) * kChannelBlock, 0.0F);
  if (bias != nullptr) std::copy_n(bias, channels, padded);
}

}  // namespace

bool has_blocked_form(const Conv2dShape& shape) {
  if (shape.groups == 1) return true;
  if (shape.depthwise()) return shape.out_channels == shape.in_channels;
  return shape.in_channels / shape.groups % kChannelBlock == 0 &&
         shape.out_channels / shape.groups % kChannelBlock == 0;
}

BlockedConv2d::BlockedConv2d(const Conv2dShape& shape, bool plain_input, Activation activation,
                             const KernelTable& kernels)
    : shape_(shape),
      block_(plain_input ? 1 : kChannelBlock),
      activation_(activation),
      kernels_(kernels),
      offsets_(input_offsets(shape.window, block_, kernels.direct_rows)),
      tap_pixels_(
          find_tap_pixels(offsets_, shape.window, shape.window.stride_w * block_, kernels.direct_rows)) {
  const int64_t most = std::max<int64_t>(1, kChunkRows / (block_ * shape.window.taps()));
  chunk_blocks_ = ceil_div(input_blocks(), ceil_div(input_blocks(), most));
  const int64_t tile_floats =
      chunk_blocks_ * block_ * shape.window.stride_h * shape.window.stride_w * kernels.direct_rows;
  strip_tiles_ = std::max<int64_t>(1, kStripFloats / tile_floats);
}

int64_t BlockedConv2d::panels() const { return ceil_div(channel_blocks(group_outputs()), panel_blocks()); }

int64_t BlockedConv2d::packed_floats() const { return shape_.groups * panels() * panel_floats(); }

int64_t BlockedConv2d::workspace_floats() const {
  return channel_blocks(shape_.out_channels) * kChannelBlock;
}

// [group][panel][input block][tap][channel of the block][column of the panel]
void BlockedConv2d::pack(const float* weight, float* packed) const {
  const int64_t taps = shape_.window.taps();
  const int64_t columns = kernels_.direct_columns;
  for (int64_t i = 0; i < shape_.groups * panels(); ++i) {
    const int64_t first = i % panels() * columns;  // output of the group
    const float* from = weight + (i / panels() * group_outputs() + first) * group_inputs() * taps;
    for (int64_t c = 0; c < group_inputs(); c += block_)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t k = c; k < std::min(c + block_, group_inputs()); ++k)
          for (int64_t column = 0; column < columns; ++column)
            *packed++ =
                first + column < group_outputs() ? from[(column * group_inputs() + k) * taps + tap] : 0.0F;
  }
}

// All output channels of `conv.x_blocks` input blocks, which begin with block `chunk` of the group.
void BlockedConv2d::run_chunk(const ConvArgs& args, const Part& part, int64_t chunk, DirectConv conv) const {
  const bool last = chunk + conv.x_blocks == input_blocks();
  const int64_t y_block_floats = conv.pixels * kChannelBlock;
  conv.channels_in_last = last ? group_inputs() - (input_blocks() - 1) * block_ : block_;
  if (last) conv.clamp = clamp_of(activation_);
  for (int64_t panel = 0; panel < panels(); ++panel) {
    const int64_t block = part.group * channel_blocks(group_outputs()) + panel * panel_blocks();
    const int64_t at = (part.image * channel_blocks(shape_.out_channels) + block) * y_block_floats;
    conv.weights = args.packed_weight + (part.group * panels() + panel) * panel_floats() +
                   chunk * block_ * conv.taps * kernels_.direct_columns;
    conv.y = args.y + at;
    conv.y_blocks = std::min(panel_blocks(), channel_blocks(group_outputs()) - panel * panel_blocks());
    conv.bias = chunk == 0 ? args.bias + block * kChannelBlock : nullptr;
    conv.add = chunk == 0 && args.residual ? args.residual + at : nullptr;
    kernels_.direct_conv(conv);
    if (last && !is_clamp(activation_)) activate(conv);
  }
}

// Behind `conv`, where the activation is more than a clamp.
void BlockedConv2d::activate(const DirectConv& conv) const {
  const RowPanels tiles(conv.pixels, kernels_.direct_rows);
  const int64_t first = tiles.start(conv.first_tile);
  const int64_t end = tiles.start(conv.last_tile);
  for (int64_t block = 0; block < conv.y_blocks; ++block) {
    float* y = conv.y + (block * conv.pixels + first) * kChannelBlock;
    kernels_.activate(activation_, y, y, (end - first) * kChannelBlock);
  }
}

// `args.bias` is padded.
void BlockedConv2d::run_part(const ConvArgs& args, const Part& part) const {
  const Window2d& window = shape_.window;
  DirectConv conv;
  conv.x_block_stride = window.in_size() * block_;
  conv.channels_per_block = block_;
  conv.offsets = offsets_.data();
  conv.tap_pixels = tap_pixels_.data();
  conv.pixel_step = window.stride_w * block_;
  conv.taps = window.taps();
  conv.pixels = window.out_size();
  const int64_t x_block = part.image * ceil_div(shape_.in_channels, block_) + part.group * input_blocks();
  const int64_t tiles = RowPanels(conv.pixels, kernels_.direct_rows).count;
  for (conv.first_tile = 0; conv.first_tile < tiles; conv.first_tile = conv.last_tile) {
    conv.last_tile = std::min(conv.first_tile + strip_tiles_, tiles);
    for (int64_t chunk = 0; chunk < input_blocks(); chunk += chunk_blocks_) {
      conv.x = args.x + (x_block + chunk) * conv.x_block_stride;
      conv.x_blocks = std::min(chunk_blocks_, input_blocks() - chunk);
      run_chunk(args, part, chunk, conv);
    }
  }
}

void BlockedConv2d::run(const ConvArgs& args) const {
  ConvArgs padded = args;
  pad_bias(args.bias, shape_.out_channels, args.workspace);
  padded.bias = args.workspace;
  for (int64_t image = 0; image < shape_.batch; ++image)
    for (int64_t group = 0; group < shape_.groups; ++group) run_part(padded, {image, group});
}

BlockedDepthwise::BlockedDepthwise(const Conv2dShape& shape, Activation activation,
                                   const KernelTable& kernels)
    : shape_(shape), padded_(shape.window), activation_(activation), kernels_(kernels) {
  const Window2d& w = shape.window;
  padded_.in_h = (w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
  padded_.in_w = (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  padded_.pad_top = padded_.pad_left = 0;
}

bool BlockedDepthwise::staged() const {
  const Window2d& w = shape_.window;
  if (kernels_.pads_freely(w)) return false;
  const bool padding = w.pad_top > 0 || w.pad_left > 0 || padded_.in_h > w.in_h || padded_.in_w > w.in_w;
  return padding && padded_.in_h <= kMostStagedPixels && padded_.in_w <= kMostStagedPixels &&
         padded_.in_size() <= kMostStagedPixels;
}

int64_t BlockedDepthwise::workspace_floats() const {
  return (channel_blocks(shape_.out_channels) + (staged() ? padded_.in_size() : 0)) * kChannelBlock;
}

// Copies one block of an image between its margins, which stay as they are.
void BlockedDepthwise::stage(const float* x, float* staged) const {
  const Window2d& w = shape_.window;
  const int64_t rows = std::min(w.in_h, padded_.in_h - w.pad_top);
  const int64_t columns = std::min(w.in_w, padded_.in_w - w.pad_left);
  if (columns <= 0) return;  // the windows see nothing but padding
  RowCopy copy;
  copy.from = x;
  copy.from_stride = w.in_w * kChannelBlock;
  copy.to = staged + (w.pad_top * padded_.in_w + w.pad_left) * kChannelBlock;
  copy.to_stride = padded_.in_w * kChannelBlock;
  copy.rows = rows;
  copy.columns = columns * kChannelBlock;
  kernels_.copy_rows(copy);
}

// [block][tap][channel of the block]
void BlockedDepthwise::pack(const float* weight, float* packed) const {
  const int64_t taps = shape_.window.taps();
  for (int64_t block = 0; block < channel_blocks(shape_.out_channels); ++block)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = block * kChannelBlock; c < (block + 1) * kChannelBlock; ++c)
        *packed++ = c < shape_.out_channels ? weight[c * taps + tap] : 0.0F;
}

void BlockedDepthwise::run(const ConvArgs& args) const {
  const Window2d& w = shape_.window;
  const int64_t blocks = channel_blocks(shape_.out_channels);
  pad_bias(args.bias, shape_.out_channels, args.workspace);
  float* const staged_x = args.workspace + blocks * kChannelBlock;
  std::fill(staged_x, args.workspace + workspace_floats(), 0.0F);
  BlockWindow window;
  window.window = staged() ? &padded_ : &w;
  window.clamp = clamp_of(activation_);
  for (int64_t i = 0; i < shape_.batch * blocks; ++i) {
    const int64_t at = i * w.out_size() * kChannelBlock;
    window.x = args.x + i * w.in_size() * kChannelBlock;
    if (staged()) {
      stage(window.x, staged_x);
      window.x = staged_x;
    }
    window.y = args.y + at;
    window.weights = args.packed_weight + i % blocks * w.taps() * kChannelBlock;
    window.bias = args.workspace + i % blocks * kChannelBlock;
    window.add = args.residual ? args.residual + at : nullptr;
    kernels_.block_weighted(window);
    if (!is_clamp(activation_))
      kernels_.activate(activation_, window.y, window.y, w.out_size() * kChannelBlock);
  }
}

}  // namespace lutra::cpu
