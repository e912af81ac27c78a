// Activations and broadcast arithmetic against their naive twins.

#include <algorithm>
#include <array>
#include <cmath>

#include "compare.hpp"
#include "cpu/kernels/broadcast.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

constexpr std::array kActivations{Activation::kNone,      Activation::kRelu,        Activation::kRelu6,
                                  Activation::kHardSwish, Activation::kHardSigmoid, Activation::kSigmoid,
                                  Activation::kSilu,      Activation::kGelu,        Activation::kGeluTanh,
                                  Activation::kTanh};

// Absolute error, because some of these functions vanish where others do not.
double largest_error(const Guarded& x, const Guarded& y, const Guarded& expected) {
  double largest = 0.0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double scale = std::max(1.0, std::abs(static_cast<double>(x.data()[i])));
    largest = std::max(largest, std::abs(static_cast<double>(y.data()[i]) - expected.data()[i]) / scale);
  }
  return largest;
}

void test_activations() {
  Random random(1);
  for (const Activation activation : kActivations)
    for (const int64_t count : {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 1000}) {
      const Guarded x(count, random, -12.0F, 12.0F);
      Guarded expected(count);
      reference::activate(activation, x.data(), expected.data(), count);
      for_each_isa([&](const KernelTable& kernels, const std::string&) {
        Guarded y(count);
        kernels.activate(activation, x.data(), y.data(), count);
        CHECK(largest_error(x, y, expected) < 4e-7);
        CHECK(y.intact());
      });
    }
}

void test_functions() {
  Random random(4);
  for (const Activation function :
       {Activation::kExp, Activation::kSqrt, Activation::kErf, Activation::kNegative, Activation::kAbsolute})
    for (const int64_t count : {1, 7, 8, 17, 500}) {
      const Guarded x(count, random, function == Activation::kSqrt ? 0.0F : -6.0F, 6.0F);
      Guarded expected(count);
      reference::activate(function, x.data(), expected.data(), count);
      for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
        Guarded y(count);
        kernels.activate(function, x.data(), y.data(), count);
        CHECK_CLOSE(y, expected, isa + ", function");
      });
    }
}

void test_clip_and_leaky_relu() {
  Random random(3);
  for (const int64_t count : {1, 5, 8, 23, 64}) {
    const Guarded x(count, random);
    Guarded clipped(count);
    Guarded leaking(count);
    reference::clip(x.data(), {-0.25F, 0.5F}, clipped.data(), count);
    reference::leaky_relu(x.data(), 0.1F, leaking.data(), count);
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded y(count);
      kernels.clip(x.data(), {-0.25F, 0.5F}, y.data(), count);
      CHECK_CLOSE(y, clipped, isa + ", clip");
      kernels.leaky_relu(x.data(), 0.1F, y.data(), count);
      CHECK_CLOSE(y, leaking, isa + ", leaky relu");
    });
  }
}

// Where exponentials overflow or vanish, the functions still reach their limits.
void test_extremes() {
  for_each_isa([](const KernelTable& kernels, const std::string&) {
    const std::array<float, 6> x{-1e30F, -200.0F, -90.0F, 90.0F, 200.0F, 1e30F};
    std::array<float, 6> y{};
    kernels.activate(Activation::kSigmoid, x.data(), y.data(), 6);
    for (size_t i = 0; i < 6; ++i) CHECK_NEAR(y[i], i < 3 ? 0.0F : 1.0F, 1e-6F);
    kernels.activate(Activation::kTanh, x.data(), y.data(), 6);
    for (size_t i = 0; i < 6; ++i) CHECK_NEAR(y[i], i < 3 ? -1.0F : 1.0F, 1e-6F);
    kernels.activate(Activation::kGelu, x.data(), y.data(), 6);
    for (size_t i = 0; i < 6; ++i) CHECK_NEAR(y[i], i < 3 ? 0.0F : x[i], 1e-6F * std::abs(x[i]));
    kernels.activate(Activation::kExp, x.data(), y.data(), 6);
    for (size_t i = 0; i < 6; ++i) CHECK(i < 3 ? y[i] < 1e-37F : y[i] > 1e38F);
    kernels.activate(Activation::kTanh, std::array{1e-6F, -1e-6F}.data(), y.data(), 2);
    CHECK_NEAR(y[0], 1e-6F, 1e-12F);
    CHECK_NEAR(y[1], -1e-6F, 1e-12F);
  });
}

// A random shape, and a second one that broadcasts with it.
std::pair<Shape, Shape> random_shapes(Random& random) {
  Shape a;
  Shape b;
  const int64_t rank = random.integer(0, 4);
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t size = random.integer(1, 9);
    a.push_back(random.integer(0, 3) == 0 ? 1 : size);
    b.push_back(random.integer(0, 3) == 0 ? 1 : size);
  }
  if (!b.empty() && random.coin()) b.erase(b.begin());
  if (random.coin()) std::swap(a, b);
  return {a, b};
}

void test_binary() {
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    const auto [a_shape, b_shape] = random_shapes(random);
    const auto op = static_cast<BinaryOp>(random.integer(0, 5));
    // No real power of a negative base.
    const Guarded a(elements(a_shape), random, op == BinaryOp::kPow ? 0.1F : -1.0F, 1.0F);
    const Guarded b(elements(b_shape), random, 0.5F, 2.0F);
    const int64_t count = elements(broadcast_shape(a_shape, b_shape).value());
    Guarded expected(count);
    reference::binary(op, a_shape, a.data(), b_shape, b.data(), expected.data());
    for_each_isa([&, &left = a_shape, &right = b_shape](const KernelTable& kernels, const std::string& isa) {
      Guarded y(count);
      BroadcastBinary(op, left, right, kernels).run(a.data(), b.data(), y.data());
      CHECK_CLOSE(y, expected, isa + ", " + to_string(left) + " with " + to_string(right));
    });
  }
}

void test_broadcast_shape() {
  CHECK(broadcast_shape({2, 1, 3}, {4, 1}) == Shape({2, 4, 3}));
  CHECK(broadcast_shape({}, {5}) == Shape({5}));
  CHECK(!broadcast_shape({2, 3}, {4, 3}));
}

}  // namespace

int main() {
  test_activations();
  test_functions();
  test_clip_and_leaky_relu();
  test_extremes();
  test_binary();
  test_broadcast_shape();
  return finish();
}
