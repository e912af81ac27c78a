// 8-bit kernels against their naive twins, to the last bit, over random geometry.

#include <algorithm>
#include <vector>

#include "compare.hpp"
#include "cpu/kernels/quantised_conv2d.hpp"
#include "cpu/kernels/quantised_pool2d.hpp"
#include "cpu/kernels/reorder.hpp"
#include "cpu/reference/reference.hpp"
#include "random_window.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

template <class T>
std::vector<T> integers(Random& random, int64_t count, int64_t low, int64_t high) {
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = static_cast<T>(random.integer(low, high));
  return values;
}

std::vector<uint8_t> bytes(Random& random, int64_t count) { return integers<uint8_t>(random, count, 0, 255); }

Quantisation random_quantisation(Random& random) {
  return {random.real(0.01F, 0.1F), static_cast<int32_t>(random.integer(0, 255))};
}

QuantisedOperands random_operands(Random& random) {
  constexpr Activation kClamps[] = {Activation::kNone, Activation::kRelu, Activation::kRelu6};
  return {.x = random_quantisation(random),
          .y = random_quantisation(random),
          .b = random_quantisation(random),
          .activation = kClamps[random.integer(0, 2)]};
}

/// The contents of a convolution or linear layer, whose results neither vanish nor saturate.
struct Contents {
  Contents(Random& random, int64_t x_count, int64_t outputs, int64_t depth, int64_t y_count)
      : x(bytes(random, x_count)),
        weight(integers<int8_t>(random, outputs * depth, -128, 127)),
        bias(integers<int32_t>(random, outputs, -2000, 2000)),
        scale(static_cast<size_t>(outputs)),
        residual(bytes(random, y_count)),
        with_bias(random.coin()),
        with_residual(random.coin()) {
    for (float& value : scale)
      value = random.real(0.2F, 2.0F) / (74.0F * std::sqrt(static_cast<float>(depth)));
  }

  reference::QuantisedConvArgs reference_args(uint8_t* y) const {
    return {x.data(),
            weight.data(),
            with_bias ? bias.data() : nullptr,
            scale.data(),
            with_residual ? residual.data() : nullptr,
            y};
  }

  template <class Kernel>
  void run(const Kernel& kernel, uint8_t* y) const {
    Guarded packed(kernel.packed_floats());
    Guarded workspace(kernel.workspace_floats());
    kernel.pack(weight.data(), packed.data());
    kernel.run({x.data(), packed.data(), with_bias ? bias.data() : nullptr, scale.data(),
                with_residual ? residual.data() : nullptr, y, workspace.data()});
    CHECK(packed.intact());
    CHECK(workspace.intact());
  }

  std::vector<uint8_t> x;
  std::vector<int8_t> weight;
  std::vector<int32_t> bias;
  std::vector<float> scale;
  std::vector<uint8_t> residual;
  bool with_bias;
  bool with_residual;
};

int64_t blocked_count(const ReorderShape& shape) {
  return shape.batch * channel_blocks(shape.channels) * shape.pixels * kChannelBlock;
}

/// Without the channels that pad the last block.
std::vector<uint8_t> plain(const ReorderShape& shape, const std::vector<uint8_t>& blocked) {
  std::vector<uint8_t> result(static_cast<size_t>(shape.batch * shape.channels * shape.pixels));
  reference::from_blocks(shape, blocked.data(), result.data());
  return result;
}

template <class Make>
void compare_conv(Random& random, const Conv2dShape& shape, bool plain_input, Make make) {
  const ReorderShape in{shape.batch, shape.in_channels, shape.window.in_size()};
  const ReorderShape out{shape.batch, shape.out_channels, shape.window.out_size()};
  const int64_t x_count = plain_input ? in.batch * in.channels * in.pixels : blocked_count(in);
  const Contents contents(random, x_count, shape.out_channels,
                          shape.in_channels / shape.groups * shape.window.taps(), blocked_count(out));
  const QuantisedOperands operands = random_operands(random);
  std::vector<uint8_t> expected(static_cast<size_t>(blocked_count(out)));
  reference::quantised_conv2d(shape, plain_input, operands, contents.reference_args(expected.data()));
  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    std::vector<uint8_t> y(expected.size());
    contents.run(make(operands, kernels), y.data());
    record(plain(out, y) == plain(out, expected), (isa + ", " + describe(shape)).c_str(), __FILE__, __LINE__);
  });
}

void compare_dense(Random& random, const Conv2dShape& shape, bool plain_input) {
  compare_conv(random, shape, plain_input,
               [&](const QuantisedOperands& operands, const KernelTable& kernels) {
                 return QuantisedConv2d(shape, plain_input, operands, kernels);
               });
}

void test_dense() {
  Random random(1);
  for (int i = 0; i < 150; ++i) {
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = random.integer(1, 20),
                            .out_channels = random.integer(1, 60),
                            .groups = 1,
                            .window = random_window(random, 20)};
    compare_dense(random, shape, random.coin());
  }
}

void test_pointwise() {
  Random random(2);
  for (int i = 0; i < 60; ++i) {
    const int64_t h = random.coin() ? 1 : random.integer(1, 20);
    const int64_t w = random.coin() ? 1 : random.integer(1, 20);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = random.integer(1, 70),
                            .out_channels = random.integer(1, 70),
                            .groups = 1,
                            .window = {.in_h = h, .in_w = w, .out_h = h, .out_w = w}};
    compare_dense(random, shape, false);
  }
}

// Groups whose channels are not whole blocks, too.
void test_grouped() {
  Random random(3);
  for (int i = 0; i < 80; ++i) {
    const int64_t groups = random.integer(2, 6);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = groups * random.integer(1, 18),
                            .out_channels = groups * random.integer(1, 30),
                            .groups = groups,
                            .window = random_window(random, 9)};
    compare_dense(random, shape, random.coin());
  }
}

// More input than one strip holds.
void test_strips() {
  Random random(4);
  Window2d window{.in_h = 41, .in_w = 37, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1};
  window.out_h = 41;
  window.out_w = 37;
  compare_dense(random, {.batch = 2, .in_channels = 120, .out_channels = 29, .groups = 1, .window = window},
                false);
  window.stride_h = 2;
  window.out_h = 21;
  compare_dense(random, {.batch = 1, .in_channels = 97, .out_channels = 9, .groups = 1, .window = window},
                true);
}

void test_depthwise() {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    const int64_t channels = random.integer(2, 20);
    const int64_t largest = i % 4 == 0 ? 60 : 12;
    const Conv2dShape shape{
        .batch = random.integer(1, 2),
        .in_channels = channels,
        .out_channels = channels,
        .groups = channels,
        .window = random.coin() ? random_window(random, largest) : common_window(random, largest)};
    CHECK(QuantisedDepthwise::fits(shape));
    compare_conv(random, shape, false, [&](const QuantisedOperands& operands, const KernelTable& kernels) {
      return QuantisedDepthwise(shape, operands, kernels);
    });
  }
  CHECK(!QuantisedDepthwise::fits({.in_channels = 8, .out_channels = 16, .groups = 8, .window = {}}));
  CHECK(!QuantisedDepthwise::fits(
      {.in_channels = 8, .out_channels = 8, .groups = 8, .window = {.kernel_h = 27, .kernel_w = 27}}));
}

// The largest sums that a step may have, of the extremes.
void test_extremes() {
  const QuantisedLinear::Shape shape{.rows = 2, .outputs = 3, .depth = kMostSummed};
  const QuantisedOperands operands{.x = {1.0F, 0}, .y = {1.0F, 255}, .b = {}};
  const std::vector<uint8_t> x(static_cast<size_t>(shape.rows * shape.depth), 255);
  const std::vector<int8_t> weight(static_cast<size_t>(shape.outputs * shape.depth), -128);
  const std::vector<int32_t> bias{(1 << 30) - 1, -(1 << 30) + 1, 0};
  const std::vector<float> scale{1.0F, 1.1e-7F, 2.3e-7F};
  std::vector<uint8_t> expected(6);
  reference::quantised_linear(shape, operands,
                              {x.data(), weight.data(), bias.data(), scale.data(), nullptr, expected.data()});
  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    const QuantisedLinear kernel(shape, operands, kernels);
    Guarded packed(kernel.packed_floats());
    Guarded workspace(kernel.workspace_floats());
    kernel.pack(weight.data(), packed.data());
    std::vector<uint8_t> y(expected.size());
    kernel.run({x.data(), packed.data(), bias.data(), scale.data(), nullptr, y.data(), workspace.data()});
    record(y == expected, (isa + ", extremes").c_str(), __FILE__, __LINE__);
  });
}

void test_linear() {
  Random random(6);
  for (int i = 0; i < 80; ++i) {
    const QuantisedLinear::Shape shape{
        .rows = random.integer(1, 20), .outputs = random.integer(1, 70), .depth = random.integer(1, 90)};
    const Contents contents(random, shape.rows * shape.depth, shape.outputs, shape.depth,
                            shape.rows * shape.outputs);
    const QuantisedOperands operands = random_operands(random);
    std::vector<uint8_t> expected(static_cast<size_t>(shape.rows * shape.outputs));
    reference::quantised_linear(shape, operands, contents.reference_args(expected.data()));
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      std::vector<uint8_t> y(expected.size());
      contents.run(QuantisedLinear(shape, operands, kernels), y.data());
      record(y == expected, (isa + ", linear").c_str(), __FILE__, __LINE__);
    });
  }
}

void test_pools() {
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    PoolShape shape{.kind = random.coin() ? PoolKind::kMax : PoolKind::kAverage,
                    .planes = random.integer(1, 4),
                    .window = random_window(random, 20)};
    Window2d& w = shape.window;
    w.dilation_h = w.dilation_w = 1;
    w.pad_top = std::min(w.pad_top, w.kernel_h / 2);
    w.pad_left = std::min(w.pad_left, w.kernel_w / 2);
    const int64_t room_h = w.in_h + w.pad_top - w.kernel_h;
    const int64_t room_w = w.in_w + w.pad_left - w.kernel_w;
    if (room_h < 0 || room_w < 0) continue;
    w.out_h = room_h / w.stride_h + 1;
    w.out_w = room_w / w.stride_w + 1;
    shape.count_padding = random.coin();
    const int64_t inner = random.coin() ? kChannelBlock : 1;
    const QuantisedOperands operands = random_operands(random);
    const std::vector<uint8_t> x = bytes(random, shape.planes * w.in_size() * inner);
    std::vector<uint8_t> expected(static_cast<size_t>(shape.planes * w.out_size() * inner));
    std::vector<uint8_t> y(expected.size());
    reference::quantised_pool2d(shape, inner, operands, x.data(), expected.data());
    QuantisedPool2d(shape, inner, operands).run(x.data(), y.data());
    CHECK(y == expected);
  }
}

void test_add() {
  Random random(8);
  for (int i = 0; i < 60; ++i) {
    const int64_t count = random.integer(1, 100);
    const QuantisedOperands operands = random_operands(random);
    const std::vector<uint8_t> a = bytes(random, count);
    const std::vector<uint8_t> b = bytes(random, count);
    std::vector<uint8_t> expected(a.size());
    reference::add_quantised(operands, a.data(), b.data(), expected.data(), count);
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      std::vector<uint8_t> y = a;
      kernels.add_quantised(y.data(), operands.x.zero, operands.ratio(), b.data(), operands.requantisation(),
                            y.data(), count);
      record(y == expected, (isa + ", add").c_str(), __FILE__, __LINE__);
    });
  }
}

void test_conversions() {
  Random random(9);
  for (int i = 0; i < 60; ++i) {
    const int64_t count = random.integer(1, 100);
    const Quantisation q = random_quantisation(random);
    Guarded x(count, random, -20.0F, 20.0F);
    x.data()[0] = NAN;
    if (count > 2) x.data()[1] = INFINITY;
    if (count > 2) x.data()[2] = 0.5F * q.scale;  // half way between two numbers
    std::vector<uint8_t> expected(x.size());
    Guarded back(count);
    reference::quantise(q, x.data(), expected.data(), count);
    reference::dequantise(q, expected.data(), back.data(), count);
    const Requantisation to = QuantisedOperands{.x = {}, .y = q, .b = {}}.requantisation();
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      std::vector<uint8_t> y(x.size());
      kernels.quantise(x.data(), 1.0F / q.scale, to, y.data(), count);
      record(y == expected, (isa + ", quantise").c_str(), __FILE__, __LINE__);
      Guarded floats(count);
      kernels.dequantise(y.data(), q, floats.data(), count);
      CHECK(std::equal(back.data(), back.data() + back.size(), floats.data()));
      CHECK(floats.intact());
    });
  }
}

}  // namespace

int main() {
  test_dense();
  test_pointwise();
  test_grouped();
  test_strips();
  test_depthwise();
  test_extremes();
  test_linear();
  test_pools();
  test_add();
  test_conversions();
  return finish();
}
