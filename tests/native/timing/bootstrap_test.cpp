#include "timing/bootstrap.hpp"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "timing/random.hpp"
#include "timing/statistics.hpp"

using namespace lutra::timing;

namespace {

using Values = std::vector<double>;
using Rounds = std::vector<std::int64_t>;

void equal_samples_have_no_spread() {
  const Interval interval = bootstrap_interval(Values(6, 3.0), Rounds{0, 0, 1, 1, 2, 2}, {});
  CHECK(interval.estimate == 3.0 && interval.low == 3.0 && interval.high == 3.0);
  CHECK(interval.relative_halfwidth() == 0.0);
}

void fewer_than_two_rounds_have_no_interval() {
  const Interval none = bootstrap_interval(Values{}, Rounds{}, {});
  CHECK(std::isnan(none.estimate) && std::isnan(none.low) && std::isnan(none.high));
  const Interval one = bootstrap_interval(Values{1.0, 2.0}, Rounds{4, 4}, {.q = 0.5});
  CHECK(one.estimate == 1.5 && std::isnan(one.low) && std::isnan(one.high));
  CHECK(!(one.relative_halfwidth() <= 1.0));
}

void rounds_are_drawn_whole() {
  // Two rounds of equal samples: each draw is one of (1,1), (1,3), (3,3), so bounds are 1 and 3. Drawing
  // single samples out of 200 would make them agree closely on a median of 1 to 3 in between.
  Values values(200, 1.0);
  Rounds rounds(200, 0);
  for (std::size_t i = 100; i < 200; ++i) {
    values[i] = 3.0;
    rounds[i] = 1;
  }
  const Interval interval = bootstrap_interval(values, rounds, {.q = 0.5, .seed = 1});
  CHECK(interval.low == 1.0 && interval.high == 3.0);
}

void seed_decides_and_order_does_not() {
  std::mt19937_64 random(7);
  Values values;
  Rounds rounds;
  for (std::int64_t i = 0; i < 60; ++i) {
    values.push_back(1.0 + uniform_unit(random));
    rounds.push_back(i % 12);
  }
  const Interval first = bootstrap_interval(values, rounds, {.seed = 3});
  const Interval again = bootstrap_interval(values, rounds, {.seed = 3});
  const Interval other = bootstrap_interval(values, rounds, {.seed = 4});
  CHECK(first.low == again.low && first.high == again.high);
  CHECK(first.low != other.low || first.high != other.high);
  CHECK(first.low <= first.estimate && first.estimate <= first.high);
  CHECK(first.estimate == quantile(values, 0.25));

  const Values reversed(values.rbegin(), values.rend());
  const Rounds reversed_rounds(rounds.rbegin(), rounds.rend());
  const Interval mirrored = bootstrap_interval(reversed, reversed_rounds, {.seed = 3});
  CHECK(mirrored.low == first.low && mirrored.high == first.high);
}

void interval_covers_the_true_quantile() {
  // 200 experiments on uniform noise: the true p25 is 1.25. A 90 % interval should cover about 180 of them.
  int covered = 0;
  std::mt19937_64 random(11);
  for (std::uint64_t experiment = 0; experiment < 200; ++experiment) {
    Values values;
    Rounds rounds;
    for (std::int64_t round = 0; round < 30; ++round) {
      for (int i = 0; i < 3; ++i) {
        values.push_back(1.0 + uniform_unit(random));
        rounds.push_back(round);
      }
    }
    const Interval interval =
        bootstrap_interval(values, rounds, {.confidence = 0.9, .resamples = 200, .seed = experiment});
    covered += interval.low <= 1.25 && 1.25 <= interval.high;
  }
  CHECK(covered >= 160 && covered <= 198);
}

void nonsense_is_refused() {
  const Values values = {1.0, 2.0};
  const Rounds rounds = {0, 1};
  CHECK_THROWS(std::invalid_argument, bootstrap_interval(values, Rounds{0}, {}));
  CHECK_THROWS(std::invalid_argument, bootstrap_interval(values, rounds, {.q = 1.5}));
  CHECK_THROWS(std::invalid_argument, bootstrap_interval(values, rounds, {.confidence = 1.0}));
  CHECK_THROWS(std::invalid_argument, bootstrap_interval(values, rounds, {.resamples = 0}));
}

}  // namespace

int main() {
  equal_samples_have_no_spread();
  fewer_than_two_rounds_have_no_interval();
  rounds_are_drawn_whole();
  seed_decides_and_order_does_not();
  interval_covers_the_true_quantile();
  nonsense_is_refused();
  return lutra::check::finish();
}
