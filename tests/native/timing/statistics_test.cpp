#include "timing/statistics.hpp"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using namespace lutra::timing;

namespace {

using Values = std::vector<double>;

void quantiles_interpolate_between_order_statistics() {
  const Values values = {4.0, 1.0, 3.0, 2.0};  // order must not matter
  CHECK(quantile(values, 0.0) == 1.0);
  CHECK(quantile(values, 1.0) == 4.0);
  CHECK_NEAR(quantile(values, 0.25), 1.75, 1e-12);
  CHECK_NEAR(median(values), 2.5, 1e-12);
  CHECK_NEAR(quantile(Values{1.0, 2.0}, 0.1), 1.1, 1e-12);
}

void small_counts_are_defined() {
  CHECK(std::isnan(quantile(Values{}, 0.5)));
  CHECK(quantile(Values{7.0}, 0.9) == 7.0);
  CHECK(std::isnan(mdape(Values{})));
  CHECK(mdape(Values{7.0}) == 0.0);
  CHECK_NEAR(mdape(Values{1.0, 3.0}), 0.5, 1e-12);
  CHECK(std::isnan(mdape(Values{0.0, 0.0})));
  const Summary empty = summarize(Values{});
  CHECK(empty.count == 0 && std::isnan(empty.p25) && std::isnan(empty.mean) && empty.outliers.inside == 0);
  const Summary one = summarize(Values{5.0});
  CHECK(one.count == 1 && one.p10 == 5.0 && one.mean == 5.0 && one.iqr == 0.0 && one.outliers.inside == 1);
  const Summary two = summarize(Values{2.0, 1.0});
  CHECK(two.min == 1.0 && two.max == 2.0 && two.median == 1.5 && two.iqr == 0.5);
}

void quantiles_outside_the_unit_interval_are_refused() {
  CHECK_THROWS(std::invalid_argument, quantile(Values{1.0}, -0.01));
  CHECK_THROWS(std::invalid_argument, quantile(Values{1.0}, 1.01));
  CHECK_THROWS(std::invalid_argument, quantile(Values{}, std::nan("")));
}

void summary_agrees_with_its_parts() {
  const Values values = {9.0, 2.0, 4.0, 7.0, 5.0, 3.0, 8.0};
  const Summary summary = summarize(values);
  CHECK(summary.p10 == quantile(values, 0.10));
  CHECK(summary.p25 == quantile(values, 0.25));
  CHECK(summary.p90 == quantile(values, 0.90));
  CHECK(summary.iqr == quantile(values, 0.75) - quantile(values, 0.25));
  CHECK(summary.mdape == mdape(values));
  CHECK_NEAR(summary.mean, 38.0 / 7.0, 1e-12);
}

void outliers_are_counted_by_severity() {
  // Quartiles 2 and 4 (IQR 2): mild beyond -1 and 7, severe beyond -4 and 10; the fences themselves are
  // inside.
  const Values values = {2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 7.0, -1.0, 8.0, -2.0, 11.0, -5.0};
  CHECK(quantile(values, 0.25) == 2.0 && quantile(values, 0.75) == 4.0);
  const TukeyCounts counts = classify_tukey(values);
  CHECK(counts.low_severe == 1);
  CHECK(counts.low_mild == 1);
  CHECK(counts.inside == 11);
  CHECK(counts.high_mild == 1);
  CHECK(counts.high_severe == 1);
}

}  // namespace

int main() {
  quantiles_interpolate_between_order_statistics();
  small_counts_are_defined();
  quantiles_outside_the_unit_interval_are_refused();
  summary_agrees_with_its_parts();
  outliers_are_counted_by_severity();
  return lutra::check::finish();
}
