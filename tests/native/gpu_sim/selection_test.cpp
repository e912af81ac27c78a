#include "gpu_sim/selection.hpp"

#include <stdexcept>

#include "check.hpp"

using namespace lutra::gpu_sim;

namespace {

Tree two_tiles(double capability) {
  return {capability, {1, -1, -1}, {10, 0, 0}, {1, 0, 0}, {2, 0, 0}, {0, 1, 2}};
}

void test_a_tree_leads_to_a_tile() {
  const Tree tree = two_tiles(7.0);
  tree.check(2);
  CHECK(tree.ask({0, 10, 0, 0, 0}) == 1);
  CHECK(tree.ask({0, 10.5, 0, 0, 0}) == 2);
}

void test_the_newest_tree_that_is_no_newer_is_asked() {
  const Selection selection{{two_tiles(7.0), two_tiles(8.0)}};
  CHECK(selection.of(9.0)->capability == 8.0);
  CHECK(selection.of(7.5)->capability == 7.0);
  CHECK(selection.of(6.1)->capability == 7.0);
  CHECK(Selection{}.of(8.0) == nullptr);
}

void test_damaged_trees_are_refused() {
  CHECK_THROWS(std::invalid_argument, two_tiles(7.0).check(1));
  CHECK_THROWS(std::invalid_argument, Tree{}.check(2));
  Tree loop = two_tiles(7.0);
  loop.left[0] = 0;
  CHECK_THROWS(std::invalid_argument, loop.check(2));
  Tree beyond = two_tiles(7.0);
  beyond.right[0] = 3;
  CHECK_THROWS(std::invalid_argument, beyond.check(2));
  Tree unknown = two_tiles(7.0);
  unknown.feature[0] = static_cast<std::int32_t>(kFeatures);
  CHECK_THROWS(std::invalid_argument, unknown.check(2));
  Tree uneven = two_tiles(7.0);
  uneven.threshold.pop_back();
  CHECK_THROWS(std::invalid_argument, uneven.check(2));
}

}  // namespace

int main() {
  test_a_tree_leads_to_a_tile();
  test_the_newest_tree_that_is_no_newer_is_asked();
  test_damaged_trees_are_refused();
  return lutra::check::finish();
}
