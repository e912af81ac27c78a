#include "timing/bootstrap.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

#include "timing/random.hpp"
#include "timing/statistics.hpp"

namespace lutra::timing {
namespace {

void validate(std::span<const double> values, std::span<const std::int64_t> rounds,
              const BootstrapOptions& options) {
  if (values.size() != rounds.size()) throw std::invalid_argument("values and rounds differ in length");
  if (!(options.confidence > 0.0 && options.confidence < 1.0))
    throw std::invalid_argument("the confidence lies between 0 and 1");
  if (options.resamples < 1) throw std::invalid_argument("resamples must be at least 1");
}

std::vector<std::vector<double>> group(std::span<const double> values, std::span<const std::int64_t> rounds) {
  std::map<std::int64_t, std::vector<double>> by_round;
  for (std::size_t i = 0; i < values.size(); ++i) by_round[rounds[i]].push_back(values[i]);
  std::vector<std::vector<double>> blocks;
  blocks.reserve(by_round.size());
  for (auto& entry : by_round) blocks.push_back(std::move(entry.second));
  return blocks;
}

}  // namespace

Interval bootstrap_interval(std::span<const double> values, std::span<const std::int64_t> rounds,
                            const BootstrapOptions& options) {
  validate(values, rounds, options);
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const double estimate = quantile(values, options.q);
  const auto blocks = group(values, rounds);
  if (blocks.size() < 2) return {estimate, kNan, kNan};

  std::mt19937_64 random(options.seed);
  std::vector<double> estimates;
  estimates.reserve(static_cast<std::size_t>(options.resamples));
  std::vector<double> drawn;
  for (int i = 0; i < options.resamples; ++i) {
    drawn.clear();
    for (std::size_t block = 0; block < blocks.size(); ++block) {
      const auto& chosen = blocks[uniform_below(random, blocks.size())];
      drawn.insert(drawn.end(), chosen.begin(), chosen.end());
    }
    estimates.push_back(quantile(drawn, options.q));
  }
  const double tail = (1.0 - options.confidence) / 2.0;
  return {estimate, quantile(estimates, tail), quantile(estimates, 1.0 - tail)};
}

}  // namespace lutra::timing
