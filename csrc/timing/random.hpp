#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace lutra::timing {

// The standard library's distributions and std::shuffle differ between implementations; these give the same
// numbers everywhere for the same seed.

/// Uniform in [0, bound), for a bound far below 2^64 (so the bias of the modulo is negligible).
inline std::size_t uniform_below(std::mt19937_64& random, std::size_t bound) {
  return static_cast<std::size_t>(random() % bound);
}

/// Uniform in [0, 1), with 53 random bits.
inline double uniform_unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

/// Fisher-Yates.
template <typename T>
void shuffle(std::span<T> items, std::mt19937_64& random) {
  for (std::size_t last = items.size(); last > 1; --last)
    std::swap(items[last - 1], items[uniform_below(random, last)]);
}

}  // namespace lutra::timing
