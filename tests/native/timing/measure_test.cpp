#include "timing/measure.hpp"

#include <atomic>
#include <cmath>
#include <memory>
#include <set>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "timing/fake.hpp"

using namespace lutra::timing;

namespace {

/// Notes each execution in a log shared with the other entries. A run lasts `duration_ns` and between 0 and
/// 90 % of `noise_ns` more, in a fixed pattern of ten runs.
class Logged final : public Runnable {
 public:
  Logged(FakeClock& clock, std::vector<int>& log, int id, std::int64_t duration_ns, std::int64_t noise_ns = 0)
      : clock_(clock), log_(log), id_(id), duration_ns_(duration_ns), noise_ns_(noise_ns) {}

  void run() override {
    if (static_cast<std::int64_t>(++runs) == fail_at) throw std::runtime_error("broken on purpose");
    log_.push_back(id_);
    clock_.advance(duration_ns_ + noise_ns_ * (runs * 7 % 10) / 10);
    if (on_run) on_run();
  }

  std::int64_t fail_at = -1;
  std::int64_t runs = 0;
  std::function<void()> on_run;

 private:
  FakeClock& clock_;
  std::vector<int>& log_;
  int id_;
  std::int64_t duration_ns_;
  std::int64_t noise_ns_;
};

/// Entries of 1 ms each (so that no batching is needed), ids 0, 1, ...
struct Bench {
  FakeClock clock;
  std::vector<int> log;
  std::vector<std::unique_ptr<Logged>> owned;
  std::vector<Runnable*> entries;
  std::vector<Runnable*> references;
  Control control;

  Logged& add(std::int64_t duration_ns = 1'000'000, std::int64_t noise_ns = 0) {
    const int id = static_cast<int>(owned.size());
    owned.push_back(std::make_unique<Logged>(clock, log, id, duration_ns, noise_ns));
    entries.push_back(owned.back().get());
    return *owned.back();
  }

  Logged& add_reference(std::int64_t duration_ns) {
    Logged& reference = add(duration_ns);
    references.push_back(entries.back());
    entries.pop_back();
    return reference;
  }

  Measured measure(const MeasureOptions& options) {
    return measure_interleaved(entries, references, options, clock, control);
  }
};

MeasureOptions fixed_rounds(int rounds) {
  return {.min_rounds = rounds, .max_rounds = rounds, .samples_per_visit = 1, .warmup_runs = 1, .seed = 5};
}

void every_round_visits_every_entry_in_a_new_order() {
  Bench bench;
  for (int i = 0; i < 6; ++i) bench.add();
  const Measured measured = bench.measure(fixed_rounds(8));
  const std::size_t warm = bench.log.size() - std::size_t{6 * 8};
  std::set<std::vector<int>> orders;
  for (std::size_t round = 0; round < 8; ++round) {
    const auto first = bench.log.begin() + static_cast<std::ptrdiff_t>(warm + round * 6);
    const std::vector<int> order(first, first + 6);
    CHECK((std::set<int>(order.begin(), order.end()).size() == 6));
    orders.insert(order);
  }
  CHECK(orders.size() >= 7);  // of 720 possible orders, eight in a row hardly repeat
  CHECK(measured.rounds == 8);
  for (const EntryResult& entry : measured.entries) {
    CHECK(entry.samples.wall_ns.size() == 8);
    CHECK((entry.samples.round == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
}

void the_seed_decides_the_order() {
  const auto order_of = [](std::uint64_t seed) {
    Bench bench;
    for (int i = 0; i < 6; ++i) bench.add();
    MeasureOptions options = fixed_rounds(4);
    options.seed = seed;
    bench.measure(options);
    return bench.log;
  };
  CHECK(order_of(1) == order_of(1));
  CHECK(order_of(1) != order_of(2));
}

void samples_are_exact_and_in_time_order() {
  Bench bench;
  bench.add(1'000'000);
  bench.add(2'500'000);
  MeasureOptions options = fixed_rounds(3);
  options.samples_per_visit = 2;
  const Measured measured = bench.measure(options);
  CHECK((measured.entries[0].samples.wall_ns == std::vector<std::int64_t>(6, 1'000'000)));
  CHECK((measured.entries[1].samples.cpu_ns == std::vector<std::int64_t>(6, 2'500'000)));
  CHECK((measured.entries[1].samples.round == std::vector<std::int64_t>{0, 0, 1, 1, 2, 2}));
  const auto& starts = measured.entries[0].samples.start_ns;
  for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] >= starts[i - 1] + 1'000'000);
  CHECK(measured.elapsed_ns >= 3 * 2 * 3'500'000);
}

void quick_entries_are_batched() {
  Bench bench;
  bench.add(100);
  MeasureOptions options = fixed_rounds(2);
  options.min_sample_ns = 1000;
  const Measured measured = bench.measure(options);
  CHECK(measured.entries[0].samples.batch == 10);
  CHECK((measured.entries[0].samples.wall_ns == std::vector<std::int64_t>(2, 1000)));
}

void long_entries_are_not_tried_for_a_batch() {
  Bench bench;
  Logged& entry = bench.add(10'000);
  Logged& shorter = bench.add(9'999);
  MeasureOptions options = fixed_rounds(2);
  options.min_sample_ns = 1000;
  const Measured measured = bench.measure(options);
  CHECK(measured.entries[0].samples.batch == 1 && measured.entries[1].samples.batch == 1);
  CHECK(entry.runs == 1 + 2);
  CHECK(shorter.runs == 1 + 1 + 2);
}

void steady_entries_stop_and_noisy_ones_go_on() {
  Bench bench;
  Logged& steady = bench.add(1'000'000);
  Logged& noisy = bench.add(1'000'000, 900'000);
  MeasureOptions options = {.min_rounds = 4, .max_rounds = 20, .samples_per_visit = 1, .warmup_runs = 1};
  options.target_halfwidth = 0.02;
  const Measured measured = bench.measure(options);
  CHECK(measured.entries[0].converged && measured.entries[0].halfwidth == 0.0);
  CHECK(measured.entries[0].samples.wall_ns.size() == 4);
  CHECK(!measured.entries[1].converged && measured.entries[1].halfwidth > 0.02);
  CHECK(measured.entries[1].samples.wall_ns.size() == 20);
  CHECK(measured.rounds == 20 && !measured.interrupted && !measured.out_of_time);
  CHECK(noisy.runs > steady.runs);
}

void a_sequence_runs_in_its_own_order() {
  Bench bench;
  for (int i = 0; i < 4; ++i) bench.add();
  MeasureOptions options = fixed_rounds(2);
  options.samples_per_visit = 3;
  options.sequences = {{2, 0, 2}};
  const Measured measured = bench.measure(options);
  const auto samples = [&measured](std::size_t entry) {
    return measured.entries[entry].samples.wall_ns.size();
  };
  CHECK(samples(2) == 12);  // twice in each of three passes of two rounds
  CHECK(samples(0) == 6 && samples(1) == 6 && samples(3) == 6);
  std::vector<int> passes;
  for (const int id : bench.log)
    if (id == 0 || id == 2) passes.push_back(id);
  for (std::size_t i = 0; i < passes.size(); ++i) CHECK(passes[i] == (i % 3 == 1 ? 0 : 2));
}

void what_precedes_a_sample_is_not_timed() {
  struct Prepared final : Runnable {
    explicit Prepared(FakeClock& clock_) : clock(clock_) {}
    void before() override { clock.advance(7'000'000); }
    void run() override { clock.advance(1'000'000); }
    FakeClock& clock;
  };
  FakeClock clock;
  Prepared entry(clock);
  Runnable* const entries[] = {&entry};
  const Measured measured = measure_interleaved(entries, {}, {.min_rounds = 2, .max_rounds = 2}, clock, {});
  for (const std::int64_t sample : measured.entries[0].samples.wall_ns)
    CHECK(sample == 1'000'000 * measured.entries[0].samples.batch);
}

void entries_of_every_round_go_on_as_long_as_others_do() {
  Bench bench;
  bench.add(1'000'000);
  bench.add(1'000'000);
  bench.add(1'000'000, 900'000);
  MeasureOptions options = {.min_rounds = 4, .max_rounds = 20, .samples_per_visit = 1, .warmup_runs = 1};
  options.every_round = {1};
  const Measured measured = bench.measure(options);
  CHECK(measured.entries[0].samples.wall_ns.size() == 4);
  CHECK(measured.entries[1].samples.wall_ns.size() == 20 && measured.entries[1].converged);
  CHECK(measured.entries[2].samples.wall_ns.size() == 20);
}

void everything_converged_ends_the_rounds() {
  Bench bench;
  bench.add();
  bench.add(3'000'000);
  const Measured measured = bench.measure({.min_rounds = 3, .max_rounds = 50});
  CHECK(measured.rounds == 3);
  CHECK(measured.entries[0].converged && measured.entries[1].converged);
}

void a_single_round_never_converges() {
  Bench bench;
  bench.add();
  const Measured measured = bench.measure(fixed_rounds(1));
  CHECK(!measured.entries[0].converged && std::isnan(measured.entries[0].halfwidth));
}

void cancelling_keeps_what_was_measured() {
  Bench bench;
  Logged& first = bench.add();
  Logged& second = bench.add();
  std::atomic<bool> cancel{false};
  bench.control.cancel = &cancel;
  const auto stop_late = [&] { cancel = first.runs + second.runs >= 12; };
  first.on_run = stop_late;
  second.on_run = stop_late;
  const Measured measured = bench.measure({.min_rounds = 30, .max_rounds = 30, .samples_per_visit = 1});
  CHECK(measured.interrupted && !measured.out_of_time);
  CHECK(first.runs + second.runs == 12);  // the next boundary is the end
  const std::size_t taken =
      measured.entries[0].samples.wall_ns.size() + measured.entries[1].samples.wall_ns.size();
  CHECK(taken == 6);  // after 3 runs each of warm-up
}

void cancelling_beforehand_measures_nothing() {
  Bench bench;
  Logged& entry = bench.add();
  const std::atomic<bool> cancel{true};
  bench.control.cancel = &cancel;
  const Measured measured = bench.measure(fixed_rounds(5));
  CHECK(measured.interrupted && measured.rounds == 0 && entry.runs == 0);
  CHECK(measured.entries.size() == 1 && measured.entries[0].samples.wall_ns.empty());
}

void the_budget_ends_it_after_the_least_rounds() {
  Bench bench;
  bench.add(10'000'000, 9'000'000);
  bench.add(10'000'000, 9'000'000);
  MeasureOptions options = {.min_rounds = 5, .max_rounds = 1000, .samples_per_visit = 1};
  options.target_halfwidth = 0.0;
  options.time_budget_ns = 1;
  const Measured short_budget = bench.measure(options);
  CHECK(short_budget.out_of_time && !short_budget.interrupted);
  CHECK(short_budget.entries[0].samples.wall_ns.size() == 5);
  options.time_budget_ns = 1'000'000'000;
  const Measured longer = bench.measure(options);
  CHECK(longer.out_of_time && longer.rounds > 20 && longer.rounds < 60);
  CHECK(longer.elapsed_ns >= options.time_budget_ns &&
        longer.elapsed_ns < options.time_budget_ns + 20'000'000);
}

void a_failing_entry_does_not_stop_the_others() {
  Bench bench;
  bench.add();
  Logged& failing = bench.add();
  failing.fail_at = 4;  // warm-up takes a run, so two rounds succeed
  Logged& broken = bench.add();
  broken.fail_at = 1;
  const Measured measured = bench.measure(fixed_rounds(6));
  CHECK(measured.entries[0].error.empty() && measured.entries[0].samples.wall_ns.size() == 6);
  CHECK(measured.entries[1].error == "broken on purpose" && measured.entries[1].samples.wall_ns.size() == 2);
  CHECK(failing.runs == 4 && !measured.entries[1].converged);
  CHECK(!measured.entries[2].error.empty() && measured.entries[2].samples.wall_ns.empty() &&
        broken.runs == 1);
}

void references_are_visited_each_round_and_in_between() {
  Bench bench;
  for (int i = 0; i < 10; ++i) bench.add(30'000'000);
  bench.add_reference(100'000);
  bench.add_reference(400'000);
  MeasureOptions options = fixed_rounds(3);
  options.reference_interval_ns = 100'000'000;
  const Measured measured = bench.measure(options);
  CHECK(measured.references.size() == 2);
  for (const Series& reference : measured.references) {
    std::set<std::int64_t> rounds(reference.round.begin(), reference.round.end());
    CHECK(rounds.size() == 3);
    CHECK(reference.wall_ns.size() >= std::size_t{3 * 3 * 3});  // 3 samples, 3 visits, 3 rounds
    for (std::size_t i = 1; i < reference.start_ns.size(); ++i)
      CHECK(reference.start_ns[i] - reference.start_ns[i - 1] <= 135'000'000);
  }
  CHECK(measured.references[0].wall_ns[0] == 100'000 && measured.references[1].wall_ns[0] == 400'000);
}

void progress_is_told_at_most_five_times_a_second() {
  Bench bench;
  bench.add(20'000'000);
  bench.add(20'000'000);
  std::vector<Progress> told;
  bench.control.report_progress = [&told](const Progress& progress) { told.push_back(progress); };
  MeasureOptions options = {.min_rounds = 10, .max_rounds = 50, .samples_per_visit = 1};
  options.target_halfwidth = 0.0;
  const Measured measured = bench.measure(options);
  const double seconds = static_cast<double>(measured.elapsed_ns) * 1e-9;
  CHECK(!told.empty() && static_cast<double>(told.size()) <= 5.0 * seconds);
  for (std::size_t i = 1; i < told.size(); ++i)
    CHECK(told[i].elapsed_ns - told[i - 1].elapsed_ns >= 200'000'000 && told[i].round >= told[i - 1].round);
  CHECK(told.back().entries == 2);
  std::set<std::size_t> current;
  for (const Progress& progress : told) current.insert(progress.current);
  CHECK((current == std::set<std::size_t>{0, 1}));
}

void progress_may_end_the_measurement() {
  Bench bench;
  Logged& entry = bench.add(300'000'000);
  bench.control.report_progress = [](const Progress&) { throw std::domain_error("enough"); };
  CHECK_THROWS(std::domain_error, bench.measure(fixed_rounds(100)));
  CHECK(entry.runs < 10);
}

void no_entries_is_a_measurement_too() {
  Bench bench;
  bench.add_reference(1'000'000);
  const Measured measured = bench.measure(fixed_rounds(3));
  CHECK(measured.entries.empty() && measured.rounds == 0 && !measured.interrupted);
}

void options_out_of_range_are_refused() {
  const auto refused = [](auto change) {
    Bench bench;
    Logged& entry = bench.add();
    MeasureOptions options;
    change(options);
    CHECK_THROWS(std::invalid_argument, bench.measure(options));
    CHECK(entry.runs == 0);
  };
  refused([](MeasureOptions& options) { options.min_rounds = 0; });
  refused([](MeasureOptions& options) { options.max_rounds = options.min_rounds - 1; });
  refused([](MeasureOptions& options) { options.samples_per_visit = 0; });
  refused([](MeasureOptions& options) { options.warmup_runs = 0; });
  refused([](MeasureOptions& options) { options.time_budget_ns = 0; });
  refused([](MeasureOptions& options) { options.target_halfwidth = -0.01; });
  refused([](MeasureOptions& options) { options.target_halfwidth = std::nan(""); });
  refused([](MeasureOptions& options) { options.min_sample_ns = -1; });
  refused([](MeasureOptions& options) { options.reference_interval_ns = 0; });
  refused([](MeasureOptions& options) { options.every_round = {1}; });
  refused([](MeasureOptions& options) { options.sequences = {{}}; });
  refused([](MeasureOptions& options) { options.sequences = {{1}}; });
  refused([](MeasureOptions& options) { options.sequences = {{0}, {0}}; });
}

}  // namespace

int main() {
  every_round_visits_every_entry_in_a_new_order();
  the_seed_decides_the_order();
  samples_are_exact_and_in_time_order();
  quick_entries_are_batched();
  long_entries_are_not_tried_for_a_batch();
  steady_entries_stop_and_noisy_ones_go_on();
  entries_of_every_round_go_on_as_long_as_others_do();
  a_sequence_runs_in_its_own_order();
  what_precedes_a_sample_is_not_timed();
  everything_converged_ends_the_rounds();
  a_single_round_never_converges();
  cancelling_keeps_what_was_measured();
  cancelling_beforehand_measures_nothing();
  the_budget_ends_it_after_the_least_rounds();
  a_failing_entry_does_not_stop_the_others();
  references_are_visited_each_round_and_in_between();
  progress_is_told_at_most_five_times_a_second();
  progress_may_end_the_measurement();
  no_entries_is_a_measurement_too();
  options_out_of_range_are_refused();
  return lutra::check::finish();
}
