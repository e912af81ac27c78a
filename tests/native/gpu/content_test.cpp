// Numbers as the element types of GPUs have them.

#include "gpu/content.hpp"

#include <cmath>
#include <limits>

#include "check.hpp"

using namespace lutra::gpu;

namespace {

float through(float value, Element element) { return decoded(encoded({value}, element), element)[0]; }

void test_halves_are_rounded_to_the_nearest() {
  CHECK(through(1.0F, Element::kFloat16) == 1.0F);
  CHECK(through(-2.5F, Element::kFloat16) == -2.5F);
  CHECK(through(65504.0F, Element::kFloat16) == 65504.0F);
  CHECK(std::isinf(through(65520.0F, Element::kFloat16)));
  CHECK(through(1.0F + 0x1p-11F, Element::kFloat16) == 1.0F);                // a tie goes to even
  CHECK(through(1.0F + 3 * 0x1p-11F, Element::kFloat16) == 1.0F + 0x1p-9F);  // and so does this one
  CHECK(through(0x1p-24F, Element::kFloat16) == 0x1p-24F);                   // the least subnormal
  CHECK(through(0x1p-26F, Element::kFloat16) == 0.0F);
  CHECK(std::signbit(through(-0.0F, Element::kFloat16)));
  CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN(), Element::kFloat16)));
#ifdef __FLT16_MAX__
  for (float value = 1e-8F; value < 1e5F; value *= 1.0173F)
    CHECK(through(value, Element::kFloat16) == static_cast<float>(static_cast<_Float16>(value)));
#endif
}

void test_bfloats_are_rounded_to_the_nearest() {
  CHECK(through(1.0F, Element::kBfloat16) == 1.0F);
  CHECK(through(1.0F + 0x1p-8F, Element::kBfloat16) == 1.0F);
  CHECK(through(1.0F + 3 * 0x1p-8F, Element::kBfloat16) == 1.0F + 0x1p-6F);
  CHECK(through(3e38F, Element::kBfloat16) > 2.9e38F);
  CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN(), Element::kBfloat16)));
}

void test_eight_bits_are_rounded_and_saturate() {
  const auto int8 = [](float value) {
    return decoded(encoded({value}, Element::kInt8, 0.5F), Element::kInt8, 0.5F)[0];
  };
  CHECK(int8(3.0F) == 3.0F);
  CHECK(int8(3.2F) == 3.0F);
  CHECK(int8(-1000.0F) == -64.0F);
  CHECK(int8(1000.0F) == 63.5F);
  const auto float8 = [](float value) { return static_cast<int>(encoded({value}, Element::kFloat8)[0]); };
  CHECK(float8(1.0F) == 0x38);
  CHECK(float8(-1.0F) == 0xb8);
  CHECK(float8(1.0625F) == 0x38);   // halfway, to even
  CHECK(float8(1.1875F) == 0x3a);   // likewise, upwards
  CHECK(float8(448.0F) == 0x7e);    // the largest
  CHECK(float8(1e9F) == 0x7e);      // saturates
  CHECK(float8(0x1p-6F) == 0x08);   // the least normal
  CHECK(float8(0x1p-9F) == 0x01);   // the least
  CHECK(float8(0x1p-10F) == 0x00);  // halfway to it, to even
  CHECK(float8(std::numeric_limits<float>::quiet_NaN()) == 0x7f);
  for (const float value : {0.0F, 1.0F, -1.25F, 448.0F, 0x1p-6F, 0x1p-9F, -7 * 0x1p-9F})
    CHECK(decoded(encoded({value}, Element::kFloat8), Element::kFloat8)[0] == value);
}

void test_random_numbers_are_normal_and_repeatable() {
  const std::vector<float> numbers = normal_numbers(100'000, 2.0F, 7);
  double sum = 0.0;
  double squares = 0.0;
  for (const float number : numbers) {
    sum += number;
    squares += static_cast<double>(number) * number;
  }
  CHECK_NEAR(sum / 1e5, 0.0, 0.03);
  CHECK_NEAR(squares / 1e5, 4.0, 0.1);
  CHECK(numbers == normal_numbers(100'000, 2.0F, 7));
  CHECK(numbers != normal_numbers(100'000, 2.0F, 8));
  for (const float number : positive_numbers(1000, 3)) CHECK(number >= 0.5F && number < 1.5F);
}

}  // namespace

int main() {
  test_halves_are_rounded_to_the_nearest();
  test_bfloats_are_rounded_to_the_nearest();
  test_eight_bits_are_rounded_and_saturate();
  test_random_numbers_are_normal_and_repeatable();
  return lutra::check::finish();
}
