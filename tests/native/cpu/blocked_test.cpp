// Kernels in blocks of channels against the plain naive twins, over random geometry.

#include "compare.hpp"
#include "cpu/kernels/blocked_conv2d.hpp"
#include "cpu/kernels/blocked_pool2d.hpp"
#include "cpu/kernels/reorder.hpp"
#include "cpu/reference/reference.hpp"
#include "random_window.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

int64_t blocked_floats(const ReorderShape& shape) {
  return shape.batch * channel_blocks(shape.channels) * shape.pixels * kChannelBlock;
}

int64_t plain_floats(const ReorderShape& shape) { return shape.batch * shape.channels * shape.pixels; }

Guarded in_blocks(const ReorderShape& shape, const Guarded& plain) {
  Guarded blocked(blocked_floats(shape));
  reference::to_blocks(shape, plain.data(), blocked.data());
  return blocked;
}

Guarded in_planes(const ReorderShape& shape, const Guarded& blocked) {
  Guarded plain(plain_floats(shape));
  reference::from_blocks(shape, blocked.data(), plain.data());
  return plain;
}

void test_reorder() {
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    const ReorderShape shape{random.integer(1, 3), random.integer(1, 35), random.integer(1, 70)};
    const Guarded x(plain_floats(shape), random);
    Guarded blocked(blocked_floats(shape));
    to_blocks(shape, x.data(), blocked.data());
    CHECK_CLOSE(blocked, in_blocks(shape, x), "to blocks");
    Guarded back(plain_floats(shape));
    from_blocks(shape, blocked.data(), back.data());
    CHECK(std::equal(x.data(), x.data() + x.size(), back.data()));
    CHECK(back.intact());
  }
}

/// `make(kernels)` makes the kernel.
template <class Make>
void compare_conv(Random& random, const Conv2dShape& shape, bool plain_input, Activation activation,
                  Make make) {
  const ReorderShape in{shape.batch, shape.in_channels, shape.window.in_size()};
  const ReorderShape out{shape.batch, shape.out_channels, shape.window.out_size()};
  const Guarded x(plain_floats(in), random);
  const Guarded weight(shape.out_channels * shape.in_channels / shape.groups * shape.window.taps(), random);
  const Guarded bias(shape.out_channels, random);
  const Guarded added(plain_floats(out), random);
  const float* bias_data = random.coin() ? bias.data() : nullptr;
  const bool with_residual = random.coin();
  Guarded expected(plain_floats(out));
  reference::conv2d(
      shape, activation,
      {x.data(), weight.data(), bias_data, with_residual ? added.data() : nullptr, expected.data()});
  const Guarded blocked_x = in_blocks(in, x);
  const Guarded residual = in_blocks(out, added);
  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    const auto kernel = make(kernels);
    Guarded packed(kernel.packed_floats());
    Guarded workspace(kernel.workspace_floats());
    Guarded y(blocked_floats(out));
    kernel.pack(weight.data(), packed.data());
    kernel.run({plain_input ? x.data() : blocked_x.data(), packed.data(), bias_data,
                with_residual ? residual.data() : nullptr, y.data(), workspace.data()});
    CHECK_CLOSE(in_planes(out, y), expected, isa + ", " + describe(shape));
    CHECK(y.intact());
    CHECK(packed.intact());
    CHECK(workspace.intact());
  });
}

constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu6, Activation::kHardSwish};

void compare_dense(Random& random, const Conv2dShape& shape, bool plain_input) {
  const Activation activation = kActivations[random.integer(0, std::size(kActivations) - 1)];
  compare_conv(random, shape, plain_input, activation, [&](const KernelTable& kernels) {
    return BlockedConv2d(shape, plain_input, activation, kernels);
  });
}

void test_dense() {
  Random random(2);
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
  Random random(3);
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

void test_grouped() {
  Random random(4);
  for (int i = 0; i < 40; ++i) {
    const int64_t groups = random.integer(2, 4);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = groups * kChannelBlock * random.integer(1, 2),
                            .out_channels = groups * kChannelBlock * random.integer(1, 7),
                            .groups = groups,
                            .window = random_window(random, 9)};
    CHECK(has_blocked_form(shape));
    compare_dense(random, shape, random.coin());
  }
  CHECK(!has_blocked_form({.in_channels = 24, .out_channels = 24, .groups = 2, .window = {}}));
  CHECK(!has_blocked_form({.in_channels = 8, .out_channels = 16, .groups = 8, .window = {}}));
}

// More channels and pixels than one chunk and one strip hold, so that partial sums are carried over.
void test_chunks() {
  Random random(5);
  Window2d window{.in_h = 9, .in_w = 31, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1};
  window.out_h = 9;
  window.out_w = 31;
  compare_dense(random, {.batch = 1, .in_channels = 97, .out_channels = 67, .groups = 1, .window = window},
                false);
  compare_dense(random, {.batch = 1, .in_channels = 60, .out_channels = 9, .groups = 1, .window = window},
                true);
  const Window2d large{.in_h = 40, .in_w = 37, .out_h = 40, .out_w = 37};
  compare_dense(random, {.batch = 2, .in_channels = 300, .out_channels = 13, .groups = 1, .window = large},
                false);
}

void test_depthwise() {
  Random random(6);
  for (int i = 0; i < 300; ++i) {
    const int64_t channels = random.integer(2, 20);
    const int64_t largest = i % 4 == 0 ? 60 : 12;  // small images are staged, large ones are not
    const Conv2dShape shape{
        .batch = random.integer(1, 2),
        .in_channels = channels,
        .out_channels = channels,
        .groups = channels,
        .window = random.coin() ? random_window(random, largest) : common_window(random, largest)};
    const Activation activation = kActivations[random.integer(0, std::size(kActivations) - 1)];
    compare_conv(random, shape, false, activation,
                 [&](const KernelTable& kernels) { return BlockedDepthwise(shape, activation, kernels); });
  }
}

void test_pools() {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    PoolShape shape{.kind = random.coin() ? PoolKind::kMax : PoolKind::kAverage,
                    .planes = random.integer(1, 4),
                    .window = random.coin() ? random_window(random, 20) : common_window(random, 20)};
    shape.window.pad_top = std::min(shape.window.pad_top, shape.window.kernel_h / 2);
    shape.window.pad_left = std::min(shape.window.pad_left, shape.window.kernel_w / 2);
    Window2d& w = shape.window;
    const int64_t room_h = w.in_h + w.pad_top - (w.kernel_h - 1) * w.dilation_h - 1;
    const int64_t room_w = w.in_w + w.pad_left - (w.kernel_w - 1) * w.dilation_w - 1;
    if (room_h < 0 || room_w < 0) continue;
    w.out_h = room_h / w.stride_h + 1;
    w.out_w = room_w / w.stride_w + 1;
    shape.count_padding = random.coin();
    const Guarded x(shape.planes * w.in_size() * kChannelBlock, random);
    Guarded expected(shape.planes * w.out_size() * kChannelBlock);
    reference::blocked_pool2d(shape, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded y(static_cast<int64_t>(expected.size()));
      BlockedPool2d(shape, kernels).run(x.data(), y.data());
      CHECK_CLOSE(y, expected, isa + ", pool");
    });
  }
}

}  // namespace

int main() {
  test_reorder();
  test_dense();
  test_pointwise();
  test_grouped();
  test_chunks();
  test_depthwise();
  test_pools();
  return finish();
}
