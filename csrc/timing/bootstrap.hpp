#pragma once

#include <cstdint>
#include <span>

namespace lutra::timing {

/// A confidence interval around an estimate.
struct Interval {
  double estimate = 0.0;
  double low = 0.0;
  double high = 0.0;

  /// Half the interval's width as a share of the estimate; NaN where the interval is undefined.
  [[nodiscard]] double relative_halfwidth() const { return (high - low) / (2.0 * estimate); }
};

struct BootstrapOptions {
  double q = 0.25;
  double confidence = 0.95;
  int resamples = 1000;
  std::uint64_t seed = 0;
};

/// Percentile-bootstrap interval of a quantile, drawing whole rounds with replacement.
///
/// Samples of one round share the machine's mood, so drawing single samples would make the interval too
/// narrow. `values` and `rounds` are parallel; rounds may come in any order and hold any number of samples.
/// With fewer than two different rounds the bounds are NaN (the spread between rounds is unknown); without
/// values the estimate is NaN too.
///
/// @throws std::invalid_argument if the lengths differ, q is outside [0, 1], the confidence is outside (0, 1)
/// or resamples is below 1.
Interval bootstrap_interval(std::span<const double> values, std::span<const std::int64_t> rounds,
                            const BootstrapOptions& options);

}  // namespace lutra::timing
