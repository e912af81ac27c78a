#include "gpu/content.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>

#include "timing/random.hpp"

namespace lutra::gpu {
namespace {

constexpr std::size_t kRing = 1'000'003;  // a prime: no two tensors' sizes make it repeat in step
constexpr std::size_t kStep = 7'919;

const std::vector<float>& ring() {
  static const std::vector<float> numbers = [] {
    std::vector<float> made(kRing);
    std::mt19937_64 random(0);
    for (float& number : made) {  // Box and Muller (1958)
      const double radius = std::sqrt(-2.0 * std::log(1.0 - timing::uniform_unit(random)));
      number = static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * timing::uniform_unit(random)));
    }
    return made;
  }();
  return numbers;
}

/// IEEE 754 binary16, to the nearest with ties to even.
std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return sign | 0x7e00U;   // NaN
  if (magnitude >= 0x477ff000U) return sign | 0x7c00U;  // rounds to infinity
  if (magnitude < 0x38800000U)                          // subnormal: the sum rounds in its last bit
    return sign |
           static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
                                      std::bit_cast<std::uint32_t>(0.5F));
  const std::uint32_t odd = magnitude >> 13 & 1U;
  return sign | static_cast<std::uint16_t>((magnitude - 0x38000000U + 0xfffU + odd) >> 13);
}

float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  if (exponent == 0)
    return std::copysign(static_cast<float>(mantissa) * 0x1p-24F, std::bit_cast<float>(sign | 0x3f800000U));
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

std::uint16_t bfloat_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

std::byte int8_of(float value) {
  return std::bit_cast<std::byte>(
      static_cast<std::int8_t>(std::nearbyint(std::clamp(value, -128.0F, 127.0F))));
}

/// e4m3, as csrc/gpu/kernels/eight.cu has it.
std::byte float8_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 24 & 0x80U;
  const float magnitude = std::fabs(value);
  std::uint32_t code = 0x7eU;
  if (std::isnan(value)) {
    code = 0x7fU;
  } else if (magnitude < 0x1p-6F) {
    code = static_cast<std::uint32_t>(std::nearbyint(magnitude * 512.0F));
  } else if (magnitude < 448.0F) {
    const auto own = std::bit_cast<std::uint32_t>(magnitude);
    code = (own + 0x7ffffU + (own >> 20 & 1U)) / (1U << 20) - (120U << 3);
  }
  return static_cast<std::byte>(sign | code);
}

float float_of_float8(std::uint32_t code) {
  const std::uint32_t exponent = code >> 3 & 0xfU;
  const auto mantissa = static_cast<float>(code & 7U);
  const float sign = (code & 0x80U) != 0 ? -1.0F : 1.0F;
  if ((code & 0x7fU) == 0x7fU) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * mantissa * 0x1p-9F;
  return sign * (8.0F + mantissa) * std::bit_cast<float>((exponent + 117U) << 23);
}

}  // namespace

float unit_of(Element element, bool weight) {
  if (element == Element::kInt8) return weight ? kInt8WeightStep : kInt8Step;
  return element == Element::kFloat8 && weight ? kFloat8WeightStep : 1.0F;
}

std::vector<float> normal_numbers(std::size_t count, float deviation, std::uint64_t seed) {
  const std::vector<float>& numbers = ring();
  std::vector<float> made(count);
  std::size_t at = static_cast<std::size_t>(seed % kRing) * kStep % kRing;
  for (float& number : made) {
    number = numbers[at] * deviation;
    at = at + 1 == kRing ? 0 : at + 1;
  }
  return made;
}

std::vector<float> positive_numbers(std::size_t count, std::uint64_t seed) {
  std::vector<float> made(count);
  std::mt19937_64 random(seed);
  std::generate(made.begin(), made.end(),
                [&] { return 0.5F + static_cast<float>(timing::uniform_unit(random)); });
  return made;
}

std::vector<std::byte> encoded(const std::vector<float>& values, Element element, float unit) {
  std::vector<std::byte> bytes(values.size() * element_bytes(element));
  if (element_bytes(element) == 1) {
    std::transform(values.begin(), values.end(), bytes.begin(), [=](float value) {
      return element == Element::kInt8 ? int8_of(value / unit) : float8_of(value / unit);
    });
    return bytes;
  }
  if (element == Element::kFloat32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  auto* const halves = reinterpret_cast<std::uint16_t*>(bytes.data());
  const bool ieee = element == Element::kFloat16;
  std::transform(values.begin(), values.end(), halves,
                 [=](float value) { return ieee ? half_of(value) : bfloat_of(value); });
  return bytes;
}

std::vector<float> decoded(const std::vector<std::byte>& bytes, Element element, float unit) {
  std::vector<float> values(bytes.size() / element_bytes(element));
  if (element_bytes(element) == 1) {
    std::transform(bytes.begin(), bytes.end(), values.begin(), [=](std::byte byte) {
      return unit * (element == Element::kInt8 ? static_cast<float>(std::bit_cast<std::int8_t>(byte))
                                               : float_of_float8(std::to_integer<std::uint32_t>(byte)));
    });
    return values;
  }
  if (element == Element::kFloat32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  const auto* const halves = reinterpret_cast<const std::uint16_t*>(bytes.data());
  const bool ieee = element == Element::kFloat16;
  std::transform(halves, halves + values.size(), values.begin(), [=](std::uint16_t half) {
    return ieee ? float_of_half(half) : std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  });
  return values;
}

}  // namespace lutra::gpu
