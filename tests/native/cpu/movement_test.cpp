// Operations that only move data against their naive twins: results are equal to the bit.

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>

#include "compare.hpp"
#include "cpu/kernels/movement.hpp"
#include "cpu/kernels/stage.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

void check_equal(const Guarded& result, const Guarded& expected, const std::string& what) {
  record_close(result, expected, what, __FILE__, __LINE__, 0.0);
}

void test_concat_and_split() {
  Random random(1);
  for (int i = 0; i < 50; ++i) {
    const int64_t outer = random.integer(1, 5);
    std::vector<int64_t> parts;
    std::vector<Guarded> pieces;
    std::vector<const void*> inputs;
    const int64_t count = random.integer(1, 4);
    pieces.reserve(static_cast<size_t>(count));
    for (int64_t part = 0; part < count; ++part) {
      parts.push_back(random.integer(1, 20));
      pieces.emplace_back(outer * parts.back(), random);
      inputs.push_back(pieces.back().data());
    }
    const int64_t total = outer * std::accumulate(parts.begin(), parts.end(), int64_t{0});
    Guarded expected(total);
    Guarded y(total);
    reference::concat(outer, parts, inputs, expected.data());
    concat(outer, parts, inputs, y.data());
    check_equal(y, expected, "concat");

    std::vector<Guarded> back;
    std::vector<void*> outputs;
    back.reserve(pieces.size());
    for (const int64_t part : parts) {
      back.emplace_back(outer * part);
      outputs.push_back(back.back().data());
    }
    split(outer, parts, y.data(), outputs);
    for (size_t part = 0; part < pieces.size(); ++part) check_equal(back[part], pieces[part], "split");
  }
}

void test_slice_pad_shuffle() {
  Random random(2);
  for (int i = 0; i < 80; ++i) {
    SliceShape cut{
        .outer = random.integer(1, 4), .length = random.integer(1, 12), .inner = random.integer(1, 9)};
    cut.start = random.integer(0, cut.length - 1);
    cut.step = random.integer(1, 3);
    cut.count = (cut.length - cut.start + cut.step - 1) / cut.step;
    const Guarded x(cut.outer * cut.length * cut.inner, random);
    Guarded cut_expected(cut.outer * cut.count * cut.inner);
    Guarded cut_y(cut.outer * cut.count * cut.inner);
    reference::slice(cut, x.data(), cut_expected.data());
    slice(cut, x.data(), cut_y.data());
    check_equal(cut_y, cut_expected, "slice");

    PadShape border{.in = {cut.outer, cut.length, cut.inner}, .out = {}, .before = {}, .value = 1.5F};
    for (const int64_t size : border.in) {
      border.before.push_back(random.integer(0, 2));
      border.out.push_back(border.before.back() + size + random.integer(0, 2));
    }
    Guarded border_expected(elements(border.out));
    Guarded border_y(elements(border.out));
    reference::pad(border, x.data(), border_expected.data());
    pad(border, x.data(), border_y.data());
    check_equal(border_y, border_expected, "pad " + to_string(border.in) + " to " + to_string(border.out));

    const int64_t groups = random.integer(1, 4);
    const int64_t channels = groups * random.integer(1, 4);
    const Guarded image(2 * channels * cut.inner, random);
    Guarded mixed_expected(2 * channels * cut.inner);
    Guarded mixed(2 * channels * cut.inner);
    reference::channel_shuffle(2, channels, cut.inner, groups, image.data(), mixed_expected.data());
    channel_shuffle(2, channels, cut.inner, groups, image.data(), mixed.data());
    check_equal(mixed, mixed_expected, "channel shuffle");
  }
}

void test_transpose() {
  Random random(3);
  std::mt19937 shuffler(4);
  for (int i = 0; i < 200; ++i) {
    Shape shape;
    for (int64_t rank = random.integer(0, 5); rank > 0; --rank)
      shape.push_back(random.integer(1, random.coin() ? 4 : 20));
    std::vector<int64_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), shuffler);
    const Guarded x(elements(shape), random);
    Guarded expected(elements(shape));
    Guarded y(elements(shape));
    reference::transpose(shape, order, x.data(), expected.data());
    Transpose(shape, order).run(x.data(), y.data());
    check_equal(y, expected, "transpose " + to_string(shape) + " by " + to_string(order));
  }
}

void test_expand() {
  Random random(7);
  for (int i = 0; i < 150; ++i) {
    Shape to;
    for (int64_t rank = random.integer(0, 5); rank > 0; --rank) to.push_back(random.integer(1, 6));
    Shape from(to.begin() + random.integer(0, static_cast<int64_t>(to.size())), to.end());
    for (int64_t& size : from)
      if (random.coin()) size = 1;
    const Guarded x(elements(from), random);
    Guarded expected(elements(to));
    Guarded y(elements(to));
    reference::expand(from, to, x.data(), expected.data());
    expand(from, to, x.data(), y.data());
    check_equal(y, expected, "expand " + to_string(from) + " to " + to_string(to));
  }
}

void test_embedding() {
  Random random(5);
  const Guarded table(7 * 5, random);
  const std::vector<int64_t> ids{6, 0, 3, 3};
  Guarded expected(4 * 5);
  Guarded y(4 * 5);
  reference::embedding(ids.data(), 4, table.data(), 7, 5, expected.data());
  embedding(ids.data(), 4, table.data(), 7, 5, y.data());
  check_equal(y, expected, "embedding");
  for (const int64_t bad : {int64_t{7}, int64_t{-1}})
    CHECK_THROWS(std::invalid_argument, embedding(&bad, 1, table.data(), 7, 5, y.data()));
}

// Whatever the stride, every tap of every output finds its input.
void test_stage() {
  Random random(6);
  for (int i = 0; i < 100; ++i) {
    Window2d w{.in_h = random.integer(1, 12), .in_w = random.integer(1, 40)};
    w.kernel_h = random.integer(1, 4);
    w.kernel_w = random.integer(1, 4);
    w.stride_h = random.integer(1, 3);
    w.stride_w = random.integer(1, 4);
    w.pad_top = random.integer(0, 3);
    w.pad_left = random.integer(0, 3);
    w.dilation_w = random.integer(1, 3);
    w.out_h = random.integer(1, 8);
    w.out_w = random.integer(1, 20);
    const Stage stage(w);
    const Guarded x(w.in_size(), random);
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded staged(stage.plane_floats());
      std::fill_n(staged.data(), stage.plane_floats(), 0.0F);
      stage.copy(kernels, x.data(), staged.data());
      CHECK(staged.intact());
      bool equal = true;
      for (int64_t o = 0; o < w.out_size(); ++o)
        for (int64_t tap = 0; tap < w.taps(); ++tap) {
          const int64_t h = o / w.out_w * w.stride_h - w.pad_top + tap / w.kernel_w;
          const int64_t v = o % w.out_w * w.stride_w - w.pad_left + tap % w.kernel_w * w.dilation_w;
          const bool inside = h >= 0 && h < w.in_h && v >= 0 && v < w.in_w;
          const int64_t at = stage.tap_offsets()[static_cast<size_t>(tap)] +
                             o / w.out_w * stage.output_row_stride() + o % w.out_w;
          equal = equal && staged.data()[at] == (inside ? x.data()[h * w.in_w + v] : 0.0F);
        }
      record(equal, (isa + ", staged inputs of " + join({w.in_h, w.in_w, w.stride_w, w.pad_left})).c_str(),
             __FILE__, __LINE__);
    });
  }
}

}  // namespace

int main() {
  test_concat_and_split();
  test_slice_pad_shuffle();
  test_transpose();
  test_expand();
  test_embedding();
  test_stage();
  return finish();
}
