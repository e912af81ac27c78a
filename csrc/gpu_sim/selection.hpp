#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutra::gpu_sim {

/// What a selection looks at: log2 of batch, m, n, k, and of the waves of 128 x 128 results; whether k is a
/// multiple of 32, which some kernels ask for.
inline constexpr std::size_t kFeatures = 6;
using Features = std::array<double, kFeatures>;

/// Which tile a library was seen to take: a decision tree of one compute capability.
struct Tree {
  double capability = 0;
  std::vector<std::int32_t> feature;  ///< -1: a leaf
  std::vector<double> threshold;      ///< to the left where the feature is at most this
  std::vector<std::int32_t> left;
  std::vector<std::int32_t> right;
  std::vector<std::int32_t> tile;  ///< of a leaf, from 1

  /// Throws std::invalid_argument: arrays of unequal lengths, an index that is none, a tile not in 1..tiles,
  /// a node that does not lead on.
  void check(std::size_t tiles) const;
  int ask(const Features& features) const;
};

/// The trees of a class of products. Empty: the tile with the least time is taken.
struct Selection {
  std::vector<Tree> trees;  ///< by rising capability

  /// The tree of the newest capability that is no newer than the device's, else the oldest; null without any.
  const Tree* of(double capability) const;
};

}  // namespace lutra::gpu_sim
