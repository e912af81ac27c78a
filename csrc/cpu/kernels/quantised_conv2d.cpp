#include "cpu/kernels/quantised_conv2d.hpp"

#include <algorithm>

namespace lutra::cpu {

namespace {

// Staged input of one strip: it shares the second-level cache with weights.
constexpr int64_t kStripValues = 64 * 1024;

// Input of one strip of one block of channels. Higher strips share fewer rows with their neighbours.
constexpr int64_t kDepthwiseValues = 16 * 1024;

// Sums of so many products of 8-bit numbers are exact in float32: 255 * 128 * 512 < 2^24.
constexpr int64_t kMostExactTaps = 512;

void stage_bytes(const KernelTable& kernels, const uint8_t* x, int32_t shift, int16_t* to, int64_t count) {
  kernels.widen(x, shift, to, count);
}
void stage_bytes(const KernelTable&, const uint8_t* x, int32_t, uint8_t* to, int64_t count) {
  std::copy_n(x, count, to);
}

// Fills one row of the padded input of a strip: `padding` outside of the image, between it whatever
// `copy(image row, pixels, to)` puts there.
template <class T, class Copy>
void stage_padded_row(const StripShape& strip, int64_t image_row, T padding, T* to, Copy copy) {
  const Window2d& w = strip.window;
  const int64_t left = std::min(w.pad_left, strip.columns);
  const int64_t pixels = std::min(w.in_w, strip.columns - left);
  if (image_row < 0 || image_row >= w.in_h || pixels == 0) {
    std::fill_n(to, strip.columns * kChannelBlock, padding);
    return;
  }
  std::fill_n(to, left * kChannelBlock, padding);
  copy(image_row, pixels, to + left * kChannelBlock);
  std::fill_n(to + (left + pixels) * kChannelBlock, (strip.columns - left - pixels) * kChannelBlock, padding);
}

}  // namespace

void QuantisedPanels::pack(const int8_t* weight, float* packed) const {
  auto* to = reinterpret_cast<int8_t*>(packed);
  auto* sums = reinterpret_cast<int32_t*>(packed + weight_floats());
  std::fill_n(sums, all_columns(), 0);
  for (int64_t i = 0; i < groups * per_group(); ++i) {
    const int64_t first = i % per_group() * columns;  // output of the group
    const int8_t* from = weight + (i / per_group() * outputs + first) * inputs * taps;
    for (int64_t block = 0; block < inputs; block += kChannelBlock)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t k = block; k < std::min(block + kChannelBlock, inputs); k += depth)
          for (int64_t column = 0; column < columns; ++column)
            for (int64_t input = k; input < k + depth; ++input) {
              const bool inside = first + column < outputs && input < inputs;
              *to = inside ? from[(column * inputs + input) * taps + tap] : int8_t{0};
              sums[i * columns + column] += *to++;
            }
  }
}

void QuantisedPanels::spread(const QuantisedArgs& args, float ratio, int32_t padding, float* spread) const {
  const auto* sums = reinterpret_cast<const int32_t*>(args.packed_weight + weight_floats());
  auto* bias = reinterpret_cast<int32_t*>(spread);
  float* multiplier = spread + whole_lines(all_columns());
  const int64_t width = per_group() * columns;
  for (int64_t i = 0; i < all_columns(); ++i) {
    const int64_t output = i / width * outputs + i % width;
    const bool inside = i % width < outputs;
    bias[i] = inside && args.bias != nullptr ? args.bias[output] : 0;
    if (padding != 0) bias[i] -= padding * sums[i];
    multiplier[i] = inside ? ratio * args.scale[output] : 0.0F;
  }
}

void QuantisedPanels::point(QuantisedConv& conv, int64_t group, int64_t panel, const float* packed,
                            const float* spread) const {
  const int64_t index = group * per_group() + panel;
  conv.weights = reinterpret_cast<const int8_t*>(packed) + index * bytes();
  conv.bias = reinterpret_cast<const int32_t*>(spread) + index * columns;
  conv.multiplier = spread + whole_lines(all_columns()) + index * columns;
  conv.first_channel = group * outputs + panel * columns;
  conv.channels = std::min(columns, outputs - panel * columns);
}

StripShape::StripShape(const Window2d& window_, int64_t blocks, int64_t most_values)
    : window(window_),
      columns((window.out_w - 1) * window.stride_w + (window.kernel_w - 1) * window.dilation_w + 1),
      rows(window.out_h) {
  const int64_t most_rows = most_values / (blocks * columns * kChannelBlock);
  const int64_t extent = (window.kernel_h - 1) * window.dilation_h + 1;
  rows = std::clamp<int64_t>((most_rows - extent) / window.stride_h + 1, 1, window.out_h);
  const int64_t strips = (window.out_h + rows - 1) / rows;
  rows = (window.out_h + strips - 1) / strips;
}

int64_t StripShape::in_rows(int64_t out_rows) const {
  return (out_rows - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1;
}

QuantisedConv2d::QuantisedConv2d(const Conv2dShape& shape, bool plain_input,
                                 const QuantisedOperands& operands, const KernelTable& kernels)
    : shape_(shape),
      plain_input_(plain_input),
      operands_(operands),
      kernels_(kernels),
      staging_(operands.x.zero, kernels),
      panels_{.groups = shape.groups,
              .outputs = group_outputs(),
              .inputs = group_inputs(),
              .taps = shape.window.taps(),
              .columns = kernels.direct_columns,
              .depth = staging_.depth},
      strip_(shape.window, input_blocks(), kStripValues) {
  const Window2d& w = shape.window;
  const int64_t row = strip_.columns * kChannelBlock;
  for (int64_t tap = 0; tap < w.taps(); ++tap)
    tap_offsets_.push_back(tap / w.kernel_w * w.dilation_h * row +
                           tap % w.kernel_w * w.dilation_w * kChannelBlock);
  for (int64_t pixel = 0; pixel < strip_.rows * w.out_w; ++pixel)
    pixel_offsets_.push_back(pixel / w.out_w * w.stride_h * row +
                             pixel % w.out_w * w.stride_w * kChannelBlock);
}

int64_t QuantisedConv2d::workspace_floats() const {
  const int64_t values = reads_in_place() ? 0 : input_blocks() * strip_.block_values();
  return panels_.column_floats() + staging_.floats(values);
}

bool QuantisedConv2d::reads_in_place() const {
  const Window2d& w = shape_.window;
  const bool whole_blocks = shape_.groups == 1 || group_inputs() % kChannelBlock == 0;
  const bool same_pixels = w.taps() == 1 && w.stride_h == 1 && w.stride_w == 1 && w.pad_top == 0 &&
                           w.pad_left == 0 && w.out_h == w.in_h && w.out_w == w.in_w;
  return !staging_.wide && !plain_input_ && whole_blocks && same_pixels;
}

template <class T>
void QuantisedConv2d::stage_row(const uint8_t* x, const Part& part, int64_t block, int64_t row, T* to,
                                int64_t pixels) const {
  const Window2d& w = shape_.window;
  const int64_t first = part.group * group_inputs() + block * kChannelBlock;
  const int64_t count = std::min(kChannelBlock, group_inputs() - block * kChannelBlock);
  const int64_t x_blocks = channel_blocks(shape_.in_channels);
  const auto plane = [=](int64_t channel) {
    return ((part.image * x_blocks + channel / kChannelBlock) * w.in_h + row) * w.in_w * kChannelBlock +
           channel % kChannelBlock;
  };
  if (!plain_input_ && first % kChannelBlock == 0)
    // Channels behind the last one meet weights that are zero, or none.
    return stage_bytes(kernels_, x + plane(first), staging_.shift, to, pixels * kChannelBlock);
  const int64_t step = plain_input_ ? 1 : kChannelBlock;
  for (int64_t c = 0; c < count; ++c) {
    const uint8_t* from =
        x + (plain_input_ ? ((part.image * shape_.in_channels + first + c) * w.in_h + row) * w.in_w
                          : plane(first + c));
    for (int64_t p = 0; p < pixels; ++p)
      to[p * kChannelBlock + c] = static_cast<T>(from[p * step] - staging_.shift);
  }
  for (int64_t c = count; c % staging_.depth != 0; ++c)  // the rest of the last slice
    for (int64_t p = 0; p < pixels; ++p) to[p * kChannelBlock + c] = 0;
}

template <class T>
void QuantisedConv2d::stage(const uint8_t* x, const Part& part, T* staged) const {
  const Window2d& w = shape_.window;
  const int64_t rows = strip_.in_rows(std::min(strip_.rows, w.out_h - part.first_row));
  const int64_t top = part.first_row * w.stride_h - w.pad_top;
  for (int64_t block = 0; block < input_blocks(); ++block)
    for (int64_t row = 0; row < rows; ++row)
      stage_padded_row(strip_, top + row, static_cast<T>(staging_.padding),
                       staged + block * strip_.block_values() + row * strip_.columns * kChannelBlock,
                       [&](int64_t image_row, int64_t pixels, T* to) {
                         stage_row(x, part, block, image_row, to, pixels);
                       });
}

const void* QuantisedConv2d::staged_input(const uint8_t* x, const Part& part, float* staged) const {
  if (reads_in_place()) {
    const int64_t block = part.image * channel_blocks(shape_.in_channels) + part.group * input_blocks();
    return x + (block * shape_.window.in_h + part.first_row) * shape_.window.in_w * kChannelBlock;
  }
  if (staging_.wide)
    stage(x, part, reinterpret_cast<int16_t*>(staged));
  else
    stage(x, part, reinterpret_cast<uint8_t*>(staged));
  return staged;
}

void QuantisedConv2d::run_strip(const QuantisedArgs& args, const Part& part, QuantisedConv conv) const {
  const Window2d& w = shape_.window;
  const int64_t origin =
      (part.image * channel_blocks(shape_.out_channels) * w.out_size() + part.first_row * w.out_w) *
      kChannelBlock;
  conv.pixels = std::min(strip_.rows, w.out_h - part.first_row) * w.out_w;
  conv.y = args.y + origin;
  conv.add = args.residual != nullptr ? args.residual + origin : nullptr;
  for (int64_t panel = 0; panel < panels_.per_group(); ++panel) {
    panels_.point(conv, part.group, panel, args.packed_weight, args.workspace);
    // The padding of the last block is written too.
    const int64_t end = conv.first_channel + conv.channels;
    if (end == shape_.out_channels && conv.first_channel % kChannelBlock == 0)
      conv.channels = channel_blocks(end) * kChannelBlock - conv.first_channel;
    kernels_.quantised_conv(conv);
  }
}

void QuantisedConv2d::run(const QuantisedArgs& args) const {
  panels_.spread(args, operands_.ratio(), staging_.padding, args.workspace);
  float* const staged = args.workspace + panels_.column_floats();
  QuantisedConv conv;
  conv.x_blocks = input_blocks();
  conv.x_block_stride = reads_in_place() ? shape_.window.in_size() * kChannelBlock : strip_.block_values();
  conv.slices_in_last = panels_.slices() - (input_blocks() - 1) * kChannelBlock / staging_.depth;
  conv.tap_offsets = tap_offsets_.data();
  conv.taps = shape_.window.taps();
  conv.pixel_offsets = pixel_offsets_.data();
  conv.y_pixel_stride = kChannelBlock;
  conv.y_block_stride = shape_.window.out_size() * kChannelBlock;
  conv.requantisation = operands_.requantisation();
  for (int64_t image = 0; image < shape_.batch; ++image)
    for (int64_t group = 0; group < shape_.groups; ++group)
      for (int64_t row = 0; row < shape_.window.out_h; row += strip_.rows) {
        const Part part{image, group, row};
        conv.x = staged_input(args.x, part, staged);
        run_strip(args, part, conv);
      }
}

bool QuantisedDepthwise::fits(const Conv2dShape& shape) {
  return shape.depthwise() && shape.out_channels == shape.in_channels &&
         shape.window.taps() <= kMostExactTaps;
}

QuantisedDepthwise::QuantisedDepthwise(const Conv2dShape& shape, const QuantisedOperands& operands,
                                       const KernelTable& kernels)
    : shape_(shape), operands_(operands), kernels_(kernels), strip_(shape.window, 1, kDepthwiseValues) {}

int64_t QuantisedDepthwise::workspace_floats() const {
  return 3 * whole_lines(channels()) + whole_lines(sum_floats()) + strip_.block_values();
}

// [block][tap][channel of the block]
void QuantisedDepthwise::pack(const int8_t* weight, float* packed) const {
  const int64_t taps = shape_.window.taps();
  for (int64_t block = 0; block < channels(); block += kChannelBlock)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = block; c < block + kChannelBlock; ++c)
        *packed++ = c < shape_.out_channels ? static_cast<float>(weight[c * taps + tap]) : 0.0F;
}

// Block `plane` of all images' blocks, where the kernels take bytes as they are.
bool QuantisedDepthwise::run_in_place(const QuantisedArgs& args, int64_t plane,
                                      const QuantisedBlock& block) const {
  const Window2d& w = shape_.window;
  const int64_t at = plane * w.out_size() * kChannelBlock;
  QuantisedWindow window;
  window.window = &w;
  window.x = args.x + plane * w.in_size() * kChannelBlock;
  window.x_zero = operands_.x.zero;
  window.y = args.y + at;
  window.weights = args.packed_weight + plane % (channels() / kChannelBlock) * w.taps() * kChannelBlock;
  window.bias = block.bias;
  window.multiplier = block.multiplier;
  window.add = args.residual != nullptr ? args.residual + at : nullptr;
  window.requantisation = block.requantisation;
  return kernels_.block_quantised(window);
}

void QuantisedDepthwise::run(const QuantisedArgs& args) const {
  const Window2d& w = shape_.window;
  const QuantisedPanels columns{.outputs = shape_.out_channels, .columns = channels()};
  columns.spread(args, operands_.ratio(), 0, args.workspace);
  const auto* bias = reinterpret_cast<const int32_t*>(args.workspace);
  const float* multiplier = args.workspace + whole_lines(channels());
  float* const none = args.workspace + 2 * whole_lines(channels());  // the bias comes behind the sums
  std::fill_n(none, kChannelBlock, 0.0F);
  float* const sums = none + whole_lines(channels());
  float* const staged = sums + whole_lines(sum_floats());

  Window2d padded = w;
  padded.in_w = strip_.columns;
  padded.pad_top = padded.pad_left = 0;
  BlockWindow window;
  window.window = &padded;
  window.x = staged;
  window.y = sums;
  window.bias = none;
  QuantisedBlock block;
  block.sums = sums;
  block.requantisation = operands_.requantisation();
  const int64_t blocks = channels() / kChannelBlock;
  for (int64_t i = 0; i < shape_.batch * blocks; ++i) {
    const uint8_t* x = args.x + i * w.in_size() * kChannelBlock;
    window.weights = args.packed_weight + i % blocks * w.taps() * kChannelBlock;
    block.bias = bias + i % blocks * kChannelBlock;
    block.multiplier = multiplier + i % blocks * kChannelBlock;
    if (run_in_place(args, i, block)) continue;
    for (int64_t row = 0; row < w.out_h; row += strip_.rows) {
      padded.out_h = std::min(strip_.rows, w.out_h - row);
      padded.in_h = strip_.in_rows(padded.out_h);
      for (int64_t r = 0; r < padded.in_h; ++r)
        stage_padded_row(strip_, row * w.stride_h - w.pad_top + r, 0.0F,
                         staged + r * strip_.columns * kChannelBlock,
                         [&](int64_t image_row, int64_t pixels, float* to) {
                           kernels_.widen_to_float(x + image_row * w.in_w * kChannelBlock, operands_.x.zero,
                                                   to, pixels * kChannelBlock);
                         });
      kernels_.block_weighted(window);
      const int64_t at = (i * w.out_size() + row * w.out_w) * kChannelBlock;
      block.pixels = padded.out_h * w.out_w;
      block.y = args.y + at;
      block.add = args.residual != nullptr ? args.residual + at : nullptr;
      kernels_.requantise_block(block);
    }
  }
}

QuantisedLinear::QuantisedLinear(const Shape& shape, const QuantisedOperands& operands,
                                 const KernelTable& kernels)
    : shape_(shape),
      operands_(operands),
      kernels_(kernels),
      staging_(operands.x.zero, kernels),
      panels_{.outputs = shape.outputs,
              .inputs = shape.depth,
              .columns = kernels.direct_columns,
              .depth = staging_.depth},
      strip_rows_(std::clamp<int64_t>(kStripValues / row_values(), 1, shape.rows)) {
  for (int64_t row = 0; row < strip_rows_; ++row) row_offsets_.push_back(row * row_values());
}

int64_t QuantisedLinear::workspace_floats() const {
  return panels_.column_floats() + staging_.floats(strip_rows_ * row_values());
}

template <class T>
void QuantisedLinear::stage(const uint8_t* x, int64_t rows, T* staged) const {
  for (int64_t row = 0; row < rows; ++row, x += shape_.depth, staged += row_values()) {
    stage_bytes(kernels_, x, staging_.shift, staged, shape_.depth);
    std::fill(staged + shape_.depth, staged + row_values(), T{0});
  }
}

void QuantisedLinear::run(const QuantisedArgs& args) const {
  static constexpr int64_t kOneTap[1] = {0};
  panels_.spread(args, operands_.ratio(), staging_.padding, args.workspace);
  float* const staged = args.workspace + panels_.column_floats();
  QuantisedConv conv;
  conv.x = staged;
  conv.x_blocks = channel_blocks(shape_.depth);
  conv.x_block_stride = kChannelBlock;
  conv.slices_in_last = panels_.slices() - (conv.x_blocks - 1) * kChannelBlock / staging_.depth;
  conv.tap_offsets = kOneTap;
  conv.taps = 1;
  conv.pixel_offsets = row_offsets_.data();
  conv.y_pixel_stride = shape_.outputs;
  conv.y_block_stride = kChannelBlock;
  conv.requantisation = operands_.requantisation();
  for (int64_t row = 0; row < shape_.rows; row += strip_rows_) {
    conv.pixels = std::min(strip_rows_, shape_.rows - row);
    const uint8_t* x = args.x + row * shape_.depth;
    if (staging_.wide)
      stage(x, conv.pixels, reinterpret_cast<int16_t*>(staged));
    else
      stage(x, conv.pixels, reinterpret_cast<uint8_t*>(staged));
    conv.y = args.y + row * shape_.outputs;
    conv.add = args.residual != nullptr ? args.residual + row * shape_.outputs : nullptr;
    for (int64_t panel = 0; panel < panels_.per_group(); ++panel) {
      panels_.point(conv, 0, panel, args.packed_weight, args.workspace);
      kernels_.quantised_conv(conv);
    }
  }
}

}  // namespace lutra::cpu
