// Programs of oneDNN's primitives against naive twins, over random geometry, and what they refuse.

#include "onednn/program.hpp"

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/compare.hpp"
#include "cpu/random_window.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra;
using namespace lutra::onednn;
using lutra::check::Guarded;
using lutra::check::Random;

namespace {

using EnvironmentPointer = std::shared_ptr<const Environment>;

std::int64_t pad_behind(std::int64_t in, std::int64_t out, std::int64_t taps, std::int64_t dilation,
                        std::int64_t stride, std::int64_t pad) {
  return std::max<std::int64_t>(0, (out - 1) * stride + (taps - 1) * dilation + 1 - in - pad);
}

StepSpec convolution_step(const cpu::Conv2dShape& shape) {
  const cpu::Window2d& w = shape.window;
  using Integers = std::vector<std::int64_t>;
  return {
      "convolution",
      {"x", "w", "b"},
      {"y"},
      {{"strides", Integers{w.stride_h, w.stride_w}},
       {"dilations", Integers{w.dilation_h, w.dilation_w}},
       {"pads_begin", Integers{w.pad_top, w.pad_left}},
       {"pads_end", Integers{pad_behind(w.in_h, w.out_h, w.kernel_h, w.dilation_h, w.stride_h, w.pad_top),
                             pad_behind(w.in_w, w.out_w, w.kernel_w, w.dilation_w, w.stride_w, w.pad_left)}},
       {"groups", Integers{shape.groups}},
       {"bias", Integers{1}},
       {"activation", std::string("relu")}}};
}

void check_convolution(const EnvironmentPointer& environment, Random& random, const cpu::Conv2dShape& shape,
                       Layout layout) {
  const cpu::Window2d& w = shape.window;
  const Shape x_shape{shape.batch, shape.in_channels, w.in_h, w.in_w};
  const Shape y_shape{shape.batch, shape.out_channels, w.out_h, w.out_w};
  const Shape w_shape{shape.out_channels, shape.in_channels / shape.groups, w.kernel_h, w.kernel_w};
  Program program(environment,
                  {{"x", x_shape, layout, Role::kInput},
                   {"w", w_shape, Layout::kPlain, Role::kConstant},
                   {"b", {shape.out_channels}, Layout::kPlain, Role::kConstant},
                   {"y", y_shape, layout, Role::kOutput}},
                  {convolution_step(shape)}, random.integer(1, 6), 1);
  const Guarded x(cpu::elements(x_shape), random);
  const Guarded weight(cpu::elements(w_shape), random);
  const Guarded bias(shape.out_channels, random);
  program.set_input("x", x_shape, x.data());
  program.set_constant("w", w_shape, weight.data());
  program.set_constant("b", {shape.out_channels}, bias.data());
  program.before();
  program.run();
  const Program::Content made = program.output("y");
  CHECK(made.shape == y_shape);
  Guarded result(cpu::elements(y_shape));
  std::copy(made.values.begin(), made.values.end(), result.data());
  Guarded expected(cpu::elements(y_shape));
  cpu::reference::conv2d(shape, cpu::Activation::kRelu,
                         {x.data(), weight.data(), bias.data(), nullptr, expected.data()});
  CHECK_CLOSE(result, expected, check::describe(shape));
}

void convolutions_compute_what_the_reference_does(const EnvironmentPointer& environment) {
  Random random(1);
  for (const Layout layout : {Layout::kPlain, Layout::kChannelsLast}) {
    for (int i = 0; i < 40; ++i) {
      const std::int64_t groups = random.coin() ? 1 : random.integer(2, 5);
      check_convolution(environment, random,
                        {.batch = random.integer(1, 3),
                         .in_channels = groups * random.integer(1, 9),
                         .out_channels = groups * random.integer(1, 21),
                         .groups = groups,
                         .window = check::random_window(random, 12)},
                        layout);
    }
  }
}

Program relu(const EnvironmentPointer& environment, const Shape& made, std::int64_t copies = 1,
             const std::string& read = "x") {
  return Program(
      environment,
      {{"x", {1, 3, 5, 7}, Layout::kPlain, Role::kInput}, {"y", made, Layout::kPlain, Role::kOutput}},
      {{"eltwise", {read}, {"y"}, {{"algorithm", std::string("relu")}}}}, copies, 1);
}

void inputs_are_written_anew_before_each_sample(const EnvironmentPointer& environment) {
  Program program = relu(environment, {1, 3, 5, 7}, 3);
  const std::vector<float> ones(105, 1.0F);
  program.set_input("x", {1, 3, 5, 7}, ones.data());
  program.before();
  program.run();
  CHECK(program.output("y").values == ones);
  CHECK(program.copies() == 3 && program.implementations().size() == 1);
}

void blocks_are_filled_up_with_zeros(const EnvironmentPointer& environment) {
  Random random(3);
  for (const std::int64_t channels : {1, 3, 8, 11, 16, 17}) {
    const Shape shape{2, channels, 3, 5};
    Program program(environment,
                    {{"x", shape, Layout::kPlain, Role::kInput},
                     {"blocked", shape, Layout::kBlocked8, Role::kIntermediate},
                     {"y", shape, Layout::kPlain, Role::kOutput}},
                    {{"reorder", {"x"}, {"blocked"}, {}}, {"reorder", {"blocked"}, {"y"}, {}}}, 2, 1);
    const Guarded x(cpu::elements(shape), random);
    program.set_input("x", shape, x.data());
    program.before();
    program.run();
    CHECK(program.output("y").values == std::vector<float>(x.data(), x.data() + x.size()));
  }
}

void what_makes_no_sense_is_refused(const EnvironmentPointer& environment) {
  CHECK_THROWS(std::invalid_argument, relu(environment, {1, 3, 5, 8}));
  CHECK_THROWS(std::invalid_argument, relu(environment, {1, 3, 5, 7}, 0));
  CHECK_THROWS(std::invalid_argument, relu(environment, {1, 3, 5, 7}, 1, "z"));
  CHECK_THROWS(std::invalid_argument, relu(environment, {1, 3, 5, 0}));
  CHECK_THROWS(std::invalid_argument, relu(environment, {1 << 30, 3, 5, 1 << 30}));
  Program program = relu(environment, {1, 3, 5, 7});
  const std::vector<float> values(105);
  CHECK_THROWS(std::invalid_argument, program.set_input("y", {1, 3, 5, 7}, values.data()));
  CHECK_THROWS(std::invalid_argument, program.set_input("x", {1, 3, 7, 5}, values.data()));
  CHECK_THROWS(std::invalid_argument, describe(environment->library(), {4, 4}, Layout::kBlocked8));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return check::skip("onednn-cpu-gomp is not installed");
  const auto library = std::make_shared<const Library>(argv[1]);
  CHECK_THROWS(std::invalid_argument, Environment(library, 0));
  const auto environment = std::make_shared<const Environment>(library, 1);
  convolutions_compute_what_the_reference_does(environment);
  inputs_are_written_anew_before_each_sample(environment);
  blocks_are_filled_up_with_zeros(environment);
  what_makes_no_sense_is_refused(environment);
  return check::finish();
}
