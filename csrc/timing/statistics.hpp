#pragma once

#include <cstddef>
#include <span>

namespace lutra::timing {

// Pure functions over samples in any order. Where a figure is undefined (no sample at all) it is NaN, never
// an error: a row without samples is a state of its own, decided by the caller.

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, numpy's default).
/// One value is every quantile of itself; NaN without values.
/// @throws std::invalid_argument if `q` is outside [0, 1].
double quantile(std::span<const double> values, double q);

double median(std::span<const double> values);

/// Median absolute percent error around the median, as a fraction: median(|x - m|) / m. Robust noise figure;
/// 0 for one value, NaN without values or with a median of 0.
double mdape(std::span<const double> values);

/// Outliers by Tukey's fences: mild beyond 1.5, severe beyond 3 interquartile ranges outside the quartiles.
/// They are counted, never dropped. Values on a fence are inside it.
struct TukeyCounts {
  std::size_t low_severe = 0;
  std::size_t low_mild = 0;
  std::size_t inside = 0;
  std::size_t high_mild = 0;
  std::size_t high_severe = 0;
};
TukeyCounts classify_tukey(std::span<const double> values);

struct Summary {
  std::size_t count = 0;
  double min = 0.0;
  double p10 = 0.0;
  double p25 = 0.0;
  double median = 0.0;
  double p75 = 0.0;
  double p90 = 0.0;
  double max = 0.0;
  double mean = 0.0;
  double iqr = 0.0;
  double mdape = 0.0;
  TukeyCounts outliers;
};
Summary summarize(std::span<const double> values);

}  // namespace lutra::timing
