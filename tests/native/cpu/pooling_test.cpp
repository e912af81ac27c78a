// Pooling and resizing against their naive twins.

#include "compare.hpp"
#include "cpu/kernels/pool2d.hpp"
#include "cpu/kernels/resize.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

PoolShape random_pool(Random& random) {
  PoolShape shape{.kind = random.coin() ? PoolKind::kMax : PoolKind::kAverage,
                  .planes = random.integer(1, 4),
                  .window = {},
                  .count_padding = random.coin()};
  Window2d& w = shape.window;
  w.kernel_h = random.integer(1, 7);
  w.kernel_w = random.integer(1, 7);
  w.stride_h = random.integer(1, 8);  // also wider than the kernel
  w.stride_w = random.coin() ? w.stride_h : random.integer(1, 4);
  w.pad_top = random.integer(0, w.kernel_h / 2);
  w.pad_left = random.integer(0, w.kernel_w / 2);
  shape.pad_bottom = random.integer(0, w.kernel_h / 2);
  shape.pad_right = random.integer(0, w.kernel_w / 2);
  w.in_h = w.kernel_h + random.integer(0, 30);
  w.in_w = w.kernel_w + random.integer(0, 30);
  // One more window than fits, as ceil_mode makes, if it still touches the image.
  w.out_h = (w.in_h + w.pad_top + shape.pad_bottom - w.kernel_h) / w.stride_h + 1;
  w.out_w = (w.in_w + w.pad_left + shape.pad_right - w.kernel_w) / w.stride_w + 1;
  if (w.out_h * w.stride_h < w.in_h + w.pad_top) ++w.out_h;
  if (w.out_w * w.stride_w < w.in_w + w.pad_left) ++w.out_w;
  return shape;
}

void test_windows() {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const PoolShape shape = random_pool(random);
    const Window2d& w = shape.window;
    const Guarded x(shape.planes * w.in_size(), random);
    Guarded expected(shape.planes * w.out_size());
    reference::pool2d(shape, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      const Pool2d pool(shape, kernels);
      Guarded workspace(pool.workspace_floats());
      Guarded y(shape.planes * w.out_size());
      pool.run(x.data(), y.data(), workspace.data());
      CHECK_CLOSE(y, expected,
                  isa + ", pool " + join({w.in_h, w.in_w, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w}));
      CHECK(workspace.intact());
    });
  }
}

void test_adaptive() {
  Random random(2);
  for (int i = 0; i < 80; ++i) {
    const AdaptivePoolShape shape{.planes = random.integer(1, 4),
                                  .in_h = random.integer(1, 30),
                                  .in_w = random.integer(1, 30),
                                  .out_h = random.integer(1, 12),
                                  .out_w = random.integer(1, 12)};
    const Guarded x(shape.planes * shape.in_h * shape.in_w, random);
    const int64_t count = shape.planes * shape.out_h * shape.out_w;
    Guarded expected(count);
    reference::adaptive_average_pool(shape, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded workspace(adaptive_pool_workspace_floats(shape));
      Guarded y(count);
      adaptive_average_pool(kernels, shape, x.data(), y.data(), workspace.data());
      CHECK_CLOSE(y, expected,
                  isa + ", adaptive " + join({shape.in_h, shape.in_w, shape.out_h, shape.out_w}));
      CHECK(workspace.intact());
    });
  }
}

void test_resize() {
  Random random(3);
  for (int i = 0; i < 100; ++i) {
    const ResizeShape shape{.mode = random.coin() ? ResizeMode::kNearest : ResizeMode::kBilinear,
                            .planes = random.integer(1, 3),
                            .in_h = random.integer(1, 20),
                            .in_w = random.integer(1, 20),
                            .out_h = random.integer(1, 45),
                            .out_w = random.integer(1, 45)};
    const Guarded x(shape.planes * shape.in_h * shape.in_w, random);
    const int64_t count = shape.planes * shape.out_h * shape.out_w;
    Guarded expected(count);
    reference::resize(shape, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      const Resize2d resize(shape, kernels);
      Guarded workspace(resize.workspace_floats());
      Guarded y(count);
      resize.run(x.data(), y.data(), workspace.data());
      CHECK_CLOSE(y, expected, isa + ", resize " + join({shape.in_h, shape.in_w, shape.out_h, shape.out_w}));
      CHECK(workspace.intact());
    });
  }
}

// Half-pixel centres: doubling two pixels gives 1/4 and 3/4 between them, and no extrapolation at the
// borders.
void test_resize_by_hand() {
  const float x[] = {0, 4};
  float y[4];
  reference::resize({.mode = ResizeMode::kBilinear, .in_w = 2, .out_w = 4}, x, y);
  const float expected[] = {0, 1, 3, 4};
  for (int i = 0; i < 4; ++i) CHECK_NEAR(y[i], expected[i], 1e-6F);
}

}  // namespace

int main() {
  test_windows();
  test_adaptive();
  test_resize();
  test_resize_by_hand();
  return finish();
}
