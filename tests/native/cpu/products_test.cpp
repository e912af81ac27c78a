// Matrix products and attention against their naive twins.

#include "compare.hpp"
#include "cpu/kernels/attention.hpp"
#include "cpu/kernels/matmul.hpp"
#include "cpu/reference/reference.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

void compare_linear(Random& random, const LinearShape& shape) {
  const Guarded x(shape.rows * shape.depth, random);
  const Guarded weight(shape.columns * shape.depth, random);
  const Guarded bias(shape.columns, random);
  const Guarded added(shape.rows * shape.columns, random);
  const float* bias_data = random.coin() ? bias.data() : nullptr;
  const float* residual = random.coin() ? added.data() : nullptr;
  const Activation activation = random.coin() ? Activation::kRelu : Activation::kGelu;
  Guarded expected(shape.rows * shape.columns);
  reference::linear(shape, activation, {x.data(), weight.data(), bias_data, residual, expected.data()});
  for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
    Guarded packed(linear_packed_floats(kernels, shape));
    Guarded y(shape.rows * shape.columns);
    linear_pack(kernels, shape, weight.data(), packed.data());
    linear(kernels, shape, activation, {x.data(), packed.data(), bias_data, residual, y.data()});
    CHECK_CLOSE(y, expected, isa + ", linear " + join({shape.rows, shape.columns, shape.depth}));
    CHECK(packed.intact());
  });
}

void test_linear() {
  Random random(1);
  for (int64_t rows = 1; rows <= 26; ++rows)
    compare_linear(random, {rows, random.integer(1, 70), random.integer(1, 40)});
  for (int i = 0; i < 30; ++i)
    compare_linear(random, {random.integer(1, 40), random.integer(1, 100), random.integer(1, 700)});
}

void test_matmul() {
  Random random(2);
  for (int i = 0; i < 60; ++i) {
    MatmulShape shape{.rows = random.integer(1, 30),
                      .columns = random.integer(1, 70),
                      .depth = random.integer(1, 300),
                      .transpose_b = random.coin(),
                      .a_offsets = {},
                      .b_offsets = {}};
    const int64_t batch = random.integer(1, 3);
    const bool share_b = random.coin();
    for (int64_t b = 0; b < batch; ++b) {
      shape.a_offsets.push_back(b * shape.rows * shape.depth);
      shape.b_offsets.push_back(share_b ? 0 : b * shape.depth * shape.columns);
    }
    const Guarded a(batch * shape.rows * shape.depth, random);
    const Guarded b(batch * shape.depth * shape.columns, random);
    Guarded expected(batch * shape.rows * shape.columns);
    reference::matmul(shape, a.data(), b.data(), expected.data());
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded workspace(matmul_workspace_floats(kernels, shape));
      Guarded c(batch * shape.rows * shape.columns);
      matmul(kernels, shape, a.data(), b.data(), c.data(), workspace.data());
      CHECK_CLOSE(c, expected, isa + ", matmul " + join({shape.rows, shape.columns, shape.depth}));
      CHECK(workspace.intact());
    });
  }
}

void test_attention() {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    AttentionShape shape{.heads = random.integer(1, 3),
                         .queries = random.integer(1, 110),
                         .keys = random.integer(1, 110),
                         .width = random.integer(1, 40),
                         .value_width = random.integer(1, 40),
                         .scale = random.real(0.05F, 2.0F),
                         .causal = random.coin()};
    const Guarded mask(shape.heads * shape.queries * shape.keys, random);
    if (random.coin()) {
      shape.mask_row_stride = random.coin() ? shape.keys : 0;
      for (int64_t head = 0; head < shape.heads; ++head)
        shape.mask_offsets.push_back(head * shape.queries * shape.mask_row_stride);
    }
    const Guarded q(shape.heads * shape.queries * shape.width, random);
    const Guarded k(shape.heads * shape.keys * shape.width, random);
    const Guarded v(shape.heads * shape.keys * shape.value_width, random);
    const int64_t out = shape.heads * shape.queries * shape.value_width;
    Guarded expected(out);
    reference::attention(shape, {q.data(), k.data(), v.data(), mask.data(), expected.data(), nullptr});
    for_each_isa([&](const KernelTable& kernels, const std::string& isa) {
      Guarded workspace(attention_workspace_floats(kernels, shape));
      Guarded y(out);
      attention(kernels, shape, {q.data(), k.data(), v.data(), mask.data(), y.data(), workspace.data()});
      CHECK_CLOSE(y, expected, isa + ", attention " + join({shape.queries, shape.keys, shape.width}));
      CHECK(workspace.intact());
    });
  }
}

void test_by_hand() {
  const float x[] = {1, 2, 3, 4};
  const float weight[] = {1, 10, 100, 1000, 5, 7};
  float y[6];
  reference::linear({2, 3, 2}, Activation::kNone, {x, weight, nullptr, nullptr, y});
  const float expected[] = {21, 2100, 19, 43, 4300, 43};
  for (int i = 0; i < 6; ++i) CHECK_NEAR(y[i], expected[i], 0.0F);

  // The first query of causal attention sees one key only and returns its value.
  const AttentionShape shape{
      .heads = 1, .queries = 2, .keys = 2, .width = 1, .value_width = 1, .causal = true};
  const float q[] = {1, 0};
  const float v[] = {3, 5};
  reference::attention(shape, {q, q, v, nullptr, y, nullptr});
  CHECK_NEAR(y[0], 3.0F, 1e-6F);
  CHECK_NEAR(y[1], 4.0F, 1e-6F);
}

}  // namespace

int main() {
  test_by_hand();
  test_linear();
  test_matmul();
  test_attention();
  return finish();
}
