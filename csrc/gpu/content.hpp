#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/gpu.hpp"

namespace lutra::gpu {

/// What one step is of numbers of 8 bits: of activations and weights in int8, of weights in float8.
/// Activations in float8 are what they are.
inline constexpr float kInt8Step = 1.0F / 16.0F;
inline constexpr float kInt8WeightStep = 1.0F / 128.0F;
inline constexpr float kFloat8WeightStep = 1.0F / 16.0F;

/// What a stored number of 1 stands for. @param weight a constant, not an activation.
float unit_of(Element element, bool weight);

/// `count` numbers of a normal distribution of mean 0 and this deviation; a ring of random numbers, begun at
/// a place that depends on the seed. GPUs slow down under random data, and not under zeros: zeros would
/// flatter them.
std::vector<float> normal_numbers(std::size_t count, float deviation, std::uint64_t seed);

/// `count` numbers uniform in [0.5, 1.5): scales and variances must not be negative.
std::vector<float> positive_numbers(std::size_t count, std::uint64_t seed);

/// The numbers as an element type has them, in units, to the nearest, and back.
std::vector<std::byte> encoded(const std::vector<float>& values, Element element, float unit = 1.0F);
std::vector<float> decoded(const std::vector<std::byte>& bytes, Element element, float unit = 1.0F);

}  // namespace lutra::gpu
