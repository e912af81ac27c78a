#include "timing/random.hpp"

#include <array>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "check.hpp"

using namespace lutra::timing;

namespace {

void shuffling_keeps_every_item() {
  std::mt19937_64 random(1);
  std::vector<int> items(50);
  std::iota(items.begin(), items.end(), 0);
  shuffle(std::span(items), random);
  std::vector<bool> seen(items.size(), false);
  for (const int item : items) seen[static_cast<std::size_t>(item)] = true;
  CHECK(std::accumulate(seen.begin(), seen.end(), 0) == 50);
}

void every_item_reaches_every_place() {
  std::mt19937_64 random(2);
  std::array<std::array<int, 4>, 4> places{};
  for (int trial = 0; trial < 4000; ++trial) {
    std::array<std::size_t, 4> items = {0, 1, 2, 3};
    shuffle(std::span<std::size_t>(items), random);
    for (std::size_t place = 0; place < items.size(); ++place) ++places[items[place]][place];
  }
  for (const auto& counts : places)
    for (const int count : counts) CHECK(count > 850 && count < 1150);
}

void none_and_one_item_are_left_alone() {
  std::mt19937_64 random(3);
  std::vector<int> none;
  shuffle(std::span(none), random);
  std::vector<int> one = {9};
  shuffle(std::span(one), random);
  CHECK(none.empty() && one.front() == 9);
}

void units_stay_below_one() {
  std::mt19937_64 random(4);
  double sum = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const double value = uniform_unit(random);
    CHECK(value >= 0.0 && value < 1.0);
    sum += value;
  }
  CHECK_NEAR(sum / 1000.0, 0.5, 0.05);
}

}  // namespace

int main() {
  shuffling_keeps_every_item();
  every_item_reaches_every_place();
  none_and_one_item_are_left_alone();
  units_stay_below_one();
  return lutra::check::finish();
}
