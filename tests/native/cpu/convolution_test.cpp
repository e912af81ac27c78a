// Convolutions against their naive twins, over random geometry.

#include "compare.hpp"
#include "cpu/kernels/conv2d.hpp"
#include "cpu/kernels/conv_transpose2d.hpp"
#include "cpu/reference/reference.hpp"
#include "random_window.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

constexpr Activation kActivations[] = {Activation::kNone,      Activation::kRelu, Activation::kRelu6,
                                       Activation::kHardSwish, Activation::kSilu, Activation::kGelu};

/// `x_plane` and `y_plane` are floats per channel: a transposed convolution swaps them.
template <class Kernel, class Reference>
void compare(Random& random, const Conv2dShape& shape, int64_t x_plane, int64_t y_plane, bool residual,
             const Reference& reference_kernel, int64_t weight_floats) {
  const Activation activation = kActivations[random.integer(0, std::size(kActivations) - 1)];
  const Guarded x(shape.batch * shape.in_channels * x_plane, random);
  const Guarded weight(weight_floats, random);
  const Guarded bias(shape.out_channels, random);
  const int64_t out_floats = shape.batch * shape.out_channels * y_plane;
  const Guarded added(out_floats, random);
  const bool with_bias = random.coin();
  const bool with_residual = residual && random.coin();
  const float* bias_data = with_bias ? bias.data() : nullptr;
  const float* residual_data = with_residual ? added.data() : nullptr;
  Guarded expected(out_floats);
  reference_kernel(shape, activation, {x.data(), weight.data(), bias_data, residual_data, expected.data()});

  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    const Kernel kernel(shape, activation, kernels);
    Guarded packed(kernel.packed_floats());
    Guarded workspace(kernel.workspace_floats());
    Guarded y(out_floats);
    kernel.pack(weight.data(), packed.data());
    kernel.run({x.data(), packed.data(), bias_data, residual_data, y.data(), workspace.data()});
    CHECK_CLOSE(y, expected, isa + ", " + describe(shape));
    CHECK(packed.intact());
    CHECK(workspace.intact());
  });
}

template <class Kernel>
void compare_forward(Random& random, const Conv2dShape& shape) {
  const Window2d& w = shape.window;
  compare<Kernel>(random, shape, w.in_size(), w.out_size(), true, reference::conv2d,
                  shape.out_channels * shape.in_channels / shape.groups * w.taps());
}

void test_dense() {
  Random random(1);
  for (int i = 0; i < 150; ++i) {
    const int64_t groups = random.coin() ? 1 : random.integer(2, 5);
    const Conv2dShape shape{.batch = random.integer(1, 3),
                            .in_channels = groups * random.integer(1, 9),
                            .out_channels = groups * random.integer(1, 21),
                            .groups = groups,
                            .window = random_window(random, 20)};
    compare_forward<Conv2d>(random, shape);
  }
}

// More channels and pixels than one cache block holds, so that partial sums are carried over.
void test_blocks() {
  Random random(2);
  Window2d window{.in_h = 9, .in_w = 31, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1};
  window.out_h = 9;
  window.out_w = 31;
  compare_forward<Conv2d>(random,
                          {.batch = 1, .in_channels = 97, .out_channels = 67, .groups = 1, .window = window});
  const Window2d large{.in_h = 40, .in_w = 37, .out_h = 40, .out_w = 37};
  compare_forward<Conv2d>(random,
                          {.batch = 2, .in_channels = 300, .out_channels = 13, .groups = 1, .window = large});
}

void test_pointwise() {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const int64_t h = random.integer(1, 20);
    const int64_t w = random.coin() ? 1 : random.integer(1, 20);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = random.integer(1, 70),
                            .out_channels = random.integer(1, 40),
                            .groups = 1,
                            .window = {.in_h = h, .in_w = w, .out_h = h, .out_w = w}};
    CHECK(shape.pointwise());
    compare_forward<Conv2d>(random, shape);
  }
}

void test_depthwise() {
  Random random(4);
  for (int i = 0; i < 150; ++i) {
    const int64_t channels = random.integer(2, 9);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = channels,
                            .out_channels = channels * random.integer(1, 2),
                            .groups = channels,
                            .window = random_window(random, 40)};
    CHECK(shape.depthwise());
    compare_forward<DepthwiseConv2d>(random, shape);
  }
}

void test_transposed() {
  Random random(5);
  for (int i = 0; i < 100; ++i) {
    Window2d w = random_window(random, 7);
    // x is what the convolution puts out: choose its size, and derive y's.
    w.out_h = random.integer(1, 9);
    w.out_w = random.integer(1, 9);
    w.in_h = std::max<int64_t>(
        1, (w.out_h - 1) * w.stride_h - 2 * w.pad_top + (w.kernel_h - 1) * w.dilation_h + 1);
    w.in_w = std::max<int64_t>(
        1, (w.out_w - 1) * w.stride_w - 2 * w.pad_left + (w.kernel_w - 1) * w.dilation_w + 2);
    const int64_t groups = random.integer(1, 3);
    const Conv2dShape shape{.batch = random.integer(1, 2),
                            .in_channels = groups * random.integer(1, 6),
                            .out_channels = groups * random.integer(1, 6),
                            .groups = groups,
                            .window = w};
    compare<ConvTranspose2d>(random, shape, w.out_size(), w.in_size(), false, reference::conv_transpose2d,
                             shape.in_channels * shape.out_channels / groups * w.taps());
  }
}

// The twins are compared with a result worked out by hand, so that both cannot be wrong together.
void test_by_hand() {
  const Window2d window{.in_h = 2,
                        .in_w = 2,
                        .kernel_h = 2,
                        .kernel_w = 2,
                        .pad_top = 1,
                        .pad_left = 1,
                        .out_h = 2,
                        .out_w = 2};
  const float x[] = {1, 2, 3, 4};
  const float weight[] = {10, 20, 30, 40};
  const float bias[] = {0.5F};
  float y[4];
  reference::conv2d({.window = window}, Activation::kNone, {x, weight, bias, nullptr, y});
  const float expected[] = {40.5F, 110.5F, 140.5F, 300.5F};
  for (int i = 0; i < 4; ++i) CHECK_NEAR(y[i], expected[i], 0.0F);
}

}  // namespace

int main() {
  test_by_hand();
  test_dense();
  test_blocks();
  test_pointwise();
  test_depthwise();
  test_transposed();
  return finish();
}
