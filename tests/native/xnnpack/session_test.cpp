// Sessions of XNNPACK against naive twins, over random geometry, and what they refuse.

#include "xnnpack/session.hpp"

#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/compare.hpp"
#include "cpu/random_window.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra;
using namespace lutra::xnnpack;
using lutra::check::Guarded;
using lutra::check::Random;

namespace {

using EnvironmentPointer = std::shared_ptr<const Environment>;
using Integers = std::vector<std::int64_t>;

std::size_t size_of(std::int64_t value) { return static_cast<std::size_t>(value); }

Shape sizes(std::initializer_list<std::int64_t> values) { return {values.begin(), values.end()}; }

std::int64_t pad_behind(std::int64_t in, std::int64_t out, std::int64_t taps, std::int64_t dilation,
                        std::int64_t stride, std::int64_t pad) {
  return std::max<std::int64_t>(0, (out - 1) * stride + (taps - 1) * dilation + 1 - in - pad);
}

NodeSpec convolution_node(const cpu::Conv2dShape& shape) {
  const cpu::Window2d& w = shape.window;
  const std::int64_t bottom = pad_behind(w.in_h, w.out_h, w.kernel_h, w.dilation_h, w.stride_h, w.pad_top);
  const std::int64_t right = pad_behind(w.in_w, w.out_w, w.kernel_w, w.dilation_w, w.stride_w, w.pad_left);
  return {"convolution_2d",
          {"x", "w", "b"},
          {"y"},
          {{"kernel", Integers{w.kernel_h, w.kernel_w}},
           {"stride", Integers{w.stride_h, w.stride_w}},
           {"dilation", Integers{w.dilation_h, w.dilation_w}},
           {"padding", Integers{w.pad_top, w.pad_left, bottom, right}},
           {"groups", Integers{shape.groups}},
           {"group_channels", Integers{shape.in_channels / shape.groups, shape.out_channels / shape.groups}},
           {"output_min", 0.0}}};
}

/// images x channels x pixels, with channels last.
std::vector<float> channels_last(const Guarded& x, std::int64_t images, std::int64_t channels,
                                 std::int64_t pixels) {
  std::vector<float> moved(x.size());
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t p = 0; p < pixels; ++p)
        moved[size_of((n * pixels + p) * channels + c)] = x.data()[(n * channels + c) * pixels + p];
  return moved;
}

void check_convolution(const EnvironmentPointer& environment, Random& random, const cpu::Conv2dShape& shape) {
  const cpu::Window2d& w = shape.window;
  const std::int64_t depth = shape.in_channels / shape.groups;
  const Guarded x(shape.batch * shape.in_channels * w.in_size(), random);
  const Guarded weight(shape.out_channels * depth * w.taps(), random);
  const Guarded bias(shape.out_channels, random);
  const std::vector<float> moved_x = channels_last(x, shape.batch, shape.in_channels, w.in_size());
  const std::vector<float> moved_weight = channels_last(weight, shape.out_channels, depth, w.taps());
  SessionSpec spec;
  spec.graph.values = {{"x", sizes({shape.batch, w.in_h, w.in_w, shape.in_channels}), Role::kInput},
                       {"w", sizes({shape.out_channels, w.kernel_h, w.kernel_w, depth}), Role::kConstant},
                       {"b", sizes({shape.out_channels}), Role::kConstant},
                       {"y", sizes({shape.batch, w.out_h, w.out_w, shape.out_channels}), Role::kOutput}};
  spec.graph.nodes = {convolution_node(shape)};
  spec.contents = {{"x", moved_x}, {"w", moved_weight}, {"b", {bias.data(), bias.size()}}};
  Session session(environment, spec);
  session.before();
  session.run();
  Guarded computed(shape.batch * shape.out_channels * w.out_size());
  cpu::reference::conv2d(shape, cpu::Activation::kRelu,
                         {x.data(), weight.data(), bias.data(), nullptr, computed.data()});
  Guarded expected(shape.batch * shape.out_channels * w.out_size());
  const std::vector<float> moved = channels_last(computed, shape.batch, shape.out_channels, w.out_size());
  std::copy(moved.begin(), moved.end(), expected.data());
  Guarded result(static_cast<std::int64_t>(moved.size()));
  const Session::Output output = session.outputs().at(0);
  CHECK(output.values.size() == result.size());
  std::copy(output.values.begin(), output.values.end(), result.data());
  CHECK_CLOSE(result, expected, check::describe(shape));
}

void convolutions_compute_what_the_reference_does(const EnvironmentPointer& environment) {
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    const std::int64_t groups = random.coin() ? 1 : random.integer(2, 5);
    check_convolution(environment, random,
                      {.batch = random.integer(1, 3),
                       .in_channels = groups * random.integer(2, 9),
                       .out_channels = groups * random.integer(1, 21),
                       .groups = groups,
                       .window = check::random_window(random, 12)});
  }
}

/// Two clamps of the same three numbers.
SessionSpec two_clamps(const std::vector<float>& x) {
  SessionSpec spec;
  spec.graph.values = {{"x", {3}, Role::kInput}, {"low", {3}, Role::kOutput}, {"high", {3}, Role::kOutput}};
  spec.graph.nodes = {{"clamp", {"x"}, {"low"}, {{"output_max", 0.0}}},
                      {"clamp", {"x"}, {"high"}, {{"output_min", 0.0}}}};
  spec.contents = {{"x", x}};
  return spec;
}

void outputs_share_memory_where_they_are_told_to(const EnvironmentPointer& environment) {
  const std::vector<float> x{-1.0F, 0.5F, 2.0F};
  SessionSpec spec = two_clamps(x);
  const Session apart(environment, spec);
  CHECK(apart.outputs()[0].memory != apart.outputs()[1].memory);
  CHECK(apart.outputs()[0].values[0] == -1.0F && apart.outputs()[1].values[0] == 0.0F);
  CHECK(apart.outputs_finite());
  spec.memory_of_outputs = {{"low", "one"}, {"high", "one"}};
  const Session together(environment, spec);
  CHECK(together.outputs()[0].memory == together.outputs()[1].memory);
  CHECK(together.outputs()[0].values[0] == 0.0F);
}

void what_is_not_finite_is_noticed(const EnvironmentPointer& environment) {
  const std::vector<float> x{-1.0F, INFINITY, 2.0F};
  CHECK(!Session(environment, two_clamps(x)).outputs_finite());
}

template <typename Error = std::invalid_argument, typename Change>
void refused(const EnvironmentPointer& environment, Change&& change) {
  const std::vector<float> x{-1.0F, 0.5F, 2.0F};
  SessionSpec spec = two_clamps(x);
  change(spec);
  CHECK_THROWS(Error, Session(environment, spec));
}

void what_makes_no_sense_is_refused(const EnvironmentPointer& environment) {
  refused(environment, [](SessionSpec& spec) { spec.contents.clear(); });
  refused(environment, [](SessionSpec& spec) { spec.contents["x"] = spec.contents["x"].first(2); });
  refused(environment, [](SessionSpec& spec) { spec.graph.nodes[0].op = "clamps"; });
  refused(environment, [](SessionSpec& spec) { spec.graph.nodes[0].inputs = {"z"}; });
  refused<std::runtime_error>(environment, [](SessionSpec& spec) { spec.graph.nodes[0].inputs = {}; });
  refused(environment, [](SessionSpec& spec) { spec.graph.nodes[0].op = "static_transpose"; });
  refused(environment, [](SessionSpec& spec) { spec.graph.values[1].name = "x"; });
  // XNNPACK would write three numbers into memory for two.
  refused(environment, [](SessionSpec& spec) { spec.graph.values[1].shape = {2}; });
  refused(environment, [](SessionSpec& spec) {
    spec.graph.values[1].shape = {2};
    spec.memory_of_outputs = {{"low", "one"}, {"high", "one"}};
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return check::skip("executorch, which brings XNNPACK, is not installed");
  const auto library = std::make_shared<const Library>(argv[1]);
  CHECK_THROWS(std::invalid_argument, Environment(library, 0));
  const auto environment = std::make_shared<const Environment>(library, 1);
  convolutions_compute_what_the_reference_does(environment);
  outputs_share_memory_where_they_are_told_to(environment);
  what_is_not_finite_is_noticed(environment);
  what_makes_no_sense_is_refused(environment);
  return check::finish();
}
