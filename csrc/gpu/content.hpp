#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/gpu.hpp"

namespace lutra::gpu {

/// `count` numbers of a normal distribution of mean 0 and this deviation; a ring of random numbers, begun at
/// a place that depends on the seed. GPUs slow down under random data, and not under zeros: zeros would
/// flatter them.
std::vector<float> normal_numbers(std::size_t count, float deviation, std::uint64_t seed);

/// `count` numbers uniform in [0.5, 1.5): scales and variances must not be negative.
std::vector<float> positive_numbers(std::size_t count, std::uint64_t seed);

/// The numbers as an element type has them, to the nearest, and back.
std::vector<std::byte> encoded(const std::vector<float>& values, Element element);
std::vector<float> decoded(const std::vector<std::byte>& bytes, Element element);

}  // namespace lutra::gpu
