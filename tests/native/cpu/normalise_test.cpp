// Normalisation, softmax and reductions against their naive twins.

#include <algorithm>

#include "compare.hpp"
#include "cpu/kernels/normalise.hpp"
#include "cpu/kernels/reduce.hpp"
#include "cpu/kernels/softmax.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

template <class Shape, class Kernel, class Reference>
void compare_norm(Random& random, const Shape& shape, int64_t count, int64_t parameters, Kernel kernel,
                  Reference reference_kernel, const std::string& what) {
  const Guarded x(count, random, -3.0F, 5.0F);
  const Guarded scale(parameters, random);
  const Guarded shift(parameters, random);
  const Guarded mean(parameters, random);
  const Guarded variance(parameters, random, 0.1F, 2.0F);
  Guarded expected(count);
  NormArgs args{x.data(), nullptr, nullptr, mean.data(), variance.data(), expected.data()};
  if (random.coin()) args.scale = scale.data();
  if (random.coin()) args.shift = shift.data();
  reference_kernel(shape, args);
  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    Guarded y(count);
    args.y = y.data();
    kernel(kernels, shape, args);
    CHECK_CLOSE(y, expected, isa + ", " + what);
  });
}

void test_norms() {
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    const int64_t groups = random.integer(1, 4);
    const ChannelNormShape images{.batch = random.integer(1, 3),
                                  .channels = groups * random.integer(1, 6),
                                  .inner = random.integer(2, 60),
                                  .groups = groups};
    const int64_t pixels = images.batch * images.channels * images.inner;
    const std::string what = join({images.batch, images.channels, images.inner, groups});
    compare_norm(random, images, pixels, images.channels, batch_norm, reference::batch_norm,
                 "batch norm " + what);
    compare_norm(random, images, pixels, images.channels, group_norm, reference::group_norm,
                 "group norm " + what);
    const RowNormShape rows{.rows = random.integer(1, 9), .width = random.integer(2, 130)};
    const std::string size = join({rows.rows, rows.width});
    compare_norm(random, rows, rows.rows * rows.width, rows.width, layer_norm, reference::layer_norm,
                 "layer norm " + size);
  }
}

void test_rms_norm() {
  Random random(2);
  for (int i = 0; i < 40; ++i) {
    const RowNormShape rows{.rows = random.integer(1, 9), .width = random.integer(1, 130)};
    const int64_t count = rows.rows * rows.width;
    const Guarded x(count, random);
    const Guarded scale(rows.width, random);
    Guarded expected(count);
    NormArgs args{.x = x.data(), .scale = random.coin() ? scale.data() : nullptr, .y = expected.data()};
    reference::rms_norm(rows, args);
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded y(count);
      args.y = y.data();
      rms_norm(kernels, rows, args);
      CHECK_CLOSE(y, expected, isa + ", rms norm " + join({rows.rows, rows.width}));
    });
  }
}

void test_softmax() {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const AxisShape shape{random.integer(1, 4), random.integer(1, 60),
                          random.coin() ? 1 : random.integer(2, 30)};
    const int64_t count = shape.outer * shape.length * shape.inner;
    const Guarded x(count, random, -30.0F, 30.0F);
    Guarded expected(count);
    reference::softmax(shape, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded workspace(softmax_workspace_floats(shape));
      Guarded y(count);
      std::copy_n(x.data(), count, y.data());
      softmax(kernels, shape, y.data(), y.data(), workspace.data());
      CHECK_CLOSE(y, expected, isa + ", softmax in place " + join({shape.outer, shape.length, shape.inner}));
      CHECK(workspace.intact());
    });
  }
}

void test_reduce() {
  Random random(4);
  for (int i = 0; i < 150; ++i) {
    Shape shape;
    std::vector<int64_t> axes;
    const int64_t rank = random.integer(1, 5);
    int64_t count = 1;
    for (int64_t axis = 0; axis < rank; ++axis) {
      shape.push_back(random.integer(1, 7));
      if (random.coin())
        axes.push_back(axis);
      else
        count *= shape.back();
    }
    if (axes.empty()) continue;
    const Guarded x(elements(shape), random);
    Guarded expected(count);
    const Reduction reduction = random.coin() ? Reduction::kSum : Reduction::kMax;
    reference::reduce(shape, axes, reduction, 0.25F, x.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      const Reduce reduce(shape, axes, reduction, 0.25F, kernels);
      Guarded workspace(reduce.workspace_floats());
      Guarded y(count);
      reduce.run(x.data(), y.data(), workspace.data());
      CHECK_CLOSE(y, expected, isa + ", reduce " + to_string(shape) + " over " + to_string(axes));
      CHECK(workspace.intact());
    });
  }
}

}  // namespace

int main() {
  test_norms();
  test_rms_norm();
  test_softmax();
  test_reduce();
  return finish();
}
