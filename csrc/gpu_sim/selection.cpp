#include "gpu_sim/selection.hpp"

#include <stdexcept>

namespace lutra::gpu_sim {

void Tree::check(std::size_t tiles) const {
  const std::size_t nodes = feature.size();
  if (nodes == 0 || threshold.size() != nodes || left.size() != nodes || right.size() != nodes ||
      tile.size() != nodes)
    throw std::invalid_argument("a selection tree needs arrays of one length, at least 1");
  for (std::size_t i = 0; i < nodes; ++i) {
    if (feature[i] < 0) {
      if (tile[i] < 1 || static_cast<std::size_t>(tile[i]) > tiles)
        throw std::invalid_argument("a leaf of a selection tree names a tile that is not there");
      continue;
    }
    // Children after their parents: no walk is endless.
    for (const std::int32_t child : {left[i], right[i]})
      if (child <= static_cast<std::int32_t>(i) || static_cast<std::size_t>(child) >= nodes)
        throw std::invalid_argument("a node of a selection tree must lead to later ones");
    if (static_cast<std::size_t>(feature[i]) >= kFeatures)
      throw std::invalid_argument("a selection tree asks for a feature that is not there");
  }
}

int Tree::ask(const Features& features) const {
  std::size_t node = 0;
  while (feature[node] >= 0) {
    const bool low = features[static_cast<std::size_t>(feature[node])] <= threshold[node];
    node = static_cast<std::size_t>(low ? left[node] : right[node]);
  }
  return tile[node];
}

const Tree* Selection::of(double capability) const {
  const Tree* found = trees.empty() ? nullptr : &trees.front();
  for (const Tree& tree : trees)
    if (tree.capability <= capability) found = &tree;
  return found;
}

}  // namespace lutra::gpu_sim
