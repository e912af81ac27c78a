#include "timing/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace lutra::timing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  std::sort(copy.begin(), copy.end());
  return copy;
}

double sorted_quantile(std::span<const double> ordered, double q) {
  if (!(q >= 0.0 && q <= 1.0)) throw std::invalid_argument("a quantile lies between 0 and 1");
  if (ordered.empty()) return kNan;
  const double position = q * static_cast<double>(ordered.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, ordered.size() - 1);
  const double share = position - static_cast<double>(below);
  return ordered[below] + share * (ordered[above] - ordered[below]);
}

TukeyCounts classify_sorted(std::span<const double> ordered) {
  TukeyCounts counts;
  if (ordered.empty()) return counts;
  const double q1 = sorted_quantile(ordered, 0.25);
  const double q3 = sorted_quantile(ordered, 0.75);
  const double iqr = q3 - q1;
  for (const double value : ordered) {
    if (value < q1 - 3.0 * iqr) {
      ++counts.low_severe;
    } else if (value < q1 - 1.5 * iqr) {
      ++counts.low_mild;
    } else if (value > q3 + 3.0 * iqr) {
      ++counts.high_severe;
    } else if (value > q3 + 1.5 * iqr) {
      ++counts.high_mild;
    } else {
      ++counts.inside;
    }
  }
  return counts;
}

}  // namespace

double quantile(std::span<const double> values, double q) { return sorted_quantile(sorted(values), q); }

double median(std::span<const double> values) { return quantile(values, 0.5); }

double mdape(std::span<const double> values) {
  const double middle = median(values);
  if (std::isnan(middle) || middle == 0.0) return kNan;
  std::vector<double> errors(values.begin(), values.end());
  for (double& error : errors) error = std::abs((error - middle) / middle);
  return median(errors);
}

TukeyCounts classify_tukey(std::span<const double> values) { return classify_sorted(sorted(values)); }

Summary summarize(std::span<const double> values) {
  const std::vector<double> ordered = sorted(values);
  Summary summary;
  summary.count = ordered.size();
  summary.min = sorted_quantile(ordered, 0.0);
  summary.p10 = sorted_quantile(ordered, 0.10);
  summary.p25 = sorted_quantile(ordered, 0.25);
  summary.median = sorted_quantile(ordered, 0.5);
  summary.p75 = sorted_quantile(ordered, 0.75);
  summary.p90 = sorted_quantile(ordered, 0.90);
  summary.max = sorted_quantile(ordered, 1.0);
  summary.mean = ordered.empty() ? kNan
                                 : std::accumulate(ordered.begin(), ordered.end(), 0.0) /
                                       static_cast<double>(ordered.size());
  summary.iqr = summary.p75 - summary.p25;
  summary.mdape = mdape(ordered);
  summary.outliers = classify_sorted(ordered);
  return summary;
}

}  // namespace lutra::timing
