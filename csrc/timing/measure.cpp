#include "timing/measure.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <random>
#include <stdexcept>

#include "timing/batch.hpp"
#include "timing/bootstrap.hpp"
#include "timing/random.hpp"

namespace lutra::timing {
namespace {

constexpr std::int64_t kProgressIntervalNs = 200'000'000;
constexpr int kReferenceSamples = 3;
constexpr int kConvergenceResamples = 200;
constexpr std::int64_t kReservedSamples = 4096;
/// A first run that lasts so many of the shortest samples needs no batch, however cold it was.
constexpr std::int64_t kColdFactor = 10;

/// What takes one place in the order of a round: an entry by itself, or entries in a fixed order.
struct Unit {
  std::vector<std::size_t> entries;
  bool sequence = false;
};

std::vector<Unit> make_units(std::size_t entries, const std::vector<std::vector<std::size_t>>& sequences) {
  constexpr std::size_t kLoose = static_cast<std::size_t>(-1);
  std::vector<std::size_t> owner(entries, kLoose);
  std::vector<Unit> units;
  for (const std::vector<std::size_t>& sequence : sequences) {
    if (sequence.empty()) throw std::invalid_argument("a sequence holds no entry");
    for (const std::size_t index : sequence) {
      if (index >= entries) throw std::invalid_argument("a sequence holds an index of no entry");
      if (owner[index] != kLoose && owner[index] != units.size())
        throw std::invalid_argument("an entry is in two sequences");
      owner[index] = units.size();
    }
    units.push_back({sequence, true});
  }
  for (std::size_t index = 0; index < entries; ++index)
    if (owner[index] == kLoose) units.push_back({{index}, false});
  return units;
}

/// The state of one call of measure_interleaved.
class Measurement {
 public:
  Measurement(std::span<Runnable* const> entries, std::span<Runnable* const> references,
              const MeasureOptions& options, Clock& clock, const Control& control)
      : entries_(entries),
        references_(references),
        options_(options),
        clock_(clock),
        control_(control),
        random_(options.seed),
        units_(make_units(entries.size(), options.sequences)),
        every_round_(entries.size(), false),
        next_check_(entries.size(), options.min_rounds) {
    for (const std::size_t index : options.every_round) {
      if (index >= entries.size()) throw std::invalid_argument("every_round holds an index of no entry");
      every_round_[index] = true;
    }
    result_.entries.resize(entries.size());
    result_.references.resize(references.size());
  }

  Measured run() {
    result_.clock = calibrate(clock_);
    origin_ns_ = clock_.wall_ns();
    if (warm_up()) run_rounds();
    result_.elapsed_ns = elapsed_ns();
    // The last check of an entry may lie some rounds back.
    for (EntryResult& entry : result_.entries) judge(entry);
    return std::move(result_);
  }

 private:
  [[nodiscard]] std::int64_t elapsed_ns() { return clock_.wall_ns() - origin_ns_; }

  /// False once the measurement was cancelled. The only place where the outside is heard.
  bool keep_going() {
    if (control_.report_progress) {
      const std::int64_t now_ns = elapsed_ns();
      if (now_ns - last_progress_ns_ >= kProgressIntervalNs) {
        last_progress_ns_ = now_ns;
        control_.report_progress({finished(), entries_.size(), current_, result_.rounds, now_ns});
      }
    }
    result_.interrupted = control_.cancel != nullptr && control_.cancel->load(std::memory_order_relaxed);
    return !result_.interrupted;
  }

  static bool needs_more(const EntryResult& entry) { return !entry.converged && entry.error.empty(); }

  [[nodiscard]] std::size_t finished() const {
    return static_cast<std::size_t>(
        std::count_if(result_.entries.begin(), result_.entries.end(),
                      [](const EntryResult& entry) { return !needs_more(entry); }));
  }

  bool warm_up() {
    const std::int64_t min_sample_ns =
        options_.min_sample_ns > 0 ? options_.min_sample_ns : result_.clock.min_sample_ns();
    for (std::size_t i = 0; i < references_.size(); ++i)
      prepare(*references_[i], result_.references[i], kReferenceSamples, min_sample_ns);
    for (const Unit& unit : units_) {
      // A kernel in a sequence is timed once each time it is reached: a batch would find its own traces.
      const std::int64_t sample_ns = unit.sequence ? 0 : min_sample_ns;
      for (const std::size_t i : unit.entries) {
        current_ = i;
        if (!keep_going()) return false;
        guarded(result_.entries[i], [&] {
          prepare(*entries_[i], result_.entries[i].samples, options_.samples_per_visit, sample_ns);
        });
      }
    }
    return true;
  }

  void prepare(Runnable& runnable, Series& series, std::int64_t samples_per_round,
               std::int64_t min_sample_ns) {
    std::int64_t wall_ns = 0;
    for (int i = 0; i < options_.warmup_runs; ++i) wall_ns = sample_batch(clock_, runnable, 1).wall_ns;
    const bool is_short = wall_ns < kColdFactor * min_sample_ns;
    series.batch = is_short ? calibrate_batch(clock_, runnable, min_sample_ns) : 1;
    // No allocation between samples in the usual case.
    series.reserve(
        static_cast<std::size_t>(std::min(samples_per_round * options_.max_rounds, kReservedSamples)));
  }

  /// An entry that throws must not take the others' samples with it.
  template <typename Work>
  static void guarded(EntryResult& entry, Work&& work) {
    try {
      work();
    } catch (const Fatal&) {
      throw;
    } catch (const std::exception& error) {
      entry.error = error.what();
      if (entry.error.empty()) entry.error = "unknown error";
    }
  }

  void run_rounds() {
    std::vector<std::size_t> order;
    for (std::int64_t round = 0; round < options_.max_rounds; ++round) {
      if (finished() == entries_.size()) return;
      order.clear();
      for (std::size_t i = 0; i < units_.size(); ++i)
        if (is_due(units_[i])) order.push_back(i);
      shuffle(std::span(order), random_);
      result_.rounds = round + 1;
      visit_references(round);
      if (!visit_units(order, round)) return;
      for (const std::size_t unit : order) check_convergence(units_[unit], round + 1);
    }
  }

  [[nodiscard]] bool is_due(const Unit& unit) const {
    return std::any_of(unit.entries.begin(), unit.entries.end(), [this](std::size_t i) {
      return needs_more(result_.entries[i]) || (every_round_[i] && result_.entries[i].error.empty());
    });
  }

  bool visit_units(const std::vector<std::size_t>& order, std::int64_t round) {
    for (const std::size_t index : order) {
      const Unit& unit = units_[index];
      const int passes = unit.sequence ? options_.samples_per_visit : 1;
      const int samples = unit.sequence ? 1 : options_.samples_per_visit;
      for (int pass = 0; pass < passes; ++pass)
        for (const std::size_t entry : unit.entries)
          if (!visit_entry(entry, samples, round)) return false;
    }
    return true;
  }

  /// False where the measurement is to end.
  bool visit_entry(std::size_t index, int samples, std::int64_t round) {
    current_ = index;
    if (!keep_going()) return false;
    const std::int64_t now_ns = elapsed_ns();
    if (round >= options_.min_rounds && now_ns >= options_.time_budget_ns) {
      result_.out_of_time = true;
      return false;
    }
    if (now_ns - last_reference_ns_ >= options_.reference_interval_ns) visit_references(round);
    EntryResult& entry = result_.entries[index];
    if (entry.error.empty()) guarded(entry, [&] { visit(*entries_[index], entry.samples, samples, round); });
    return true;
  }

  void visit_references(std::int64_t round) {
    last_reference_ns_ = elapsed_ns();
    for (std::size_t i = 0; i < references_.size(); ++i)
      visit(*references_[i], result_.references[i], kReferenceSamples, round);
  }

  void visit(Runnable& runnable, Series& series, int samples, std::int64_t round) {
    for (int i = 0; i < samples; ++i)
      series.append(sample_batch(clock_, runnable, series.batch), origin_ns_, round);
  }

  void check_convergence(const Unit& unit, std::int64_t rounds_done) {
    for (const std::size_t index : unit.entries) {
      if (!result_.entries[index].error.empty() || rounds_done < next_check_[index]) continue;
      judge(result_.entries[index]);
      // The bootstrap costs as much as a visit to a quick entry, so the checks thin out as rounds add up.
      next_check_[index] = rounds_done + std::max<std::int64_t>(1, rounds_done / 8);
    }
  }

  void judge(EntryResult& entry) const {
    if (entry.samples.round.empty()) return;
    entry.halfwidth = p25_halfwidth(entry.samples);
    entry.converged = entry.error.empty() && entry.samples.round.back() + 1 >= options_.min_rounds &&
                      entry.halfwidth < options_.target_halfwidth;
  }

  [[nodiscard]] double p25_halfwidth(const Series& series) const {
    const auto& column = options_.metric == Metric::kWall ? series.wall_ns : series.cpu_ns;
    const std::vector<double> values(column.begin(), column.end());
    return bootstrap_interval(
               values, series.round,
               {.q = 0.25, .confidence = 0.95, .resamples = kConvergenceResamples, .seed = options_.seed})
        .relative_halfwidth();
  }

  std::span<Runnable* const> entries_;
  std::span<Runnable* const> references_;
  const MeasureOptions& options_;
  Clock& clock_;
  const Control& control_;
  std::mt19937_64 random_;
  std::vector<Unit> units_;
  std::vector<bool> every_round_;
  std::vector<std::int64_t> next_check_;
  std::size_t current_ = 0;
  std::int64_t origin_ns_ = 0;
  std::int64_t last_progress_ns_ = 0;
  std::int64_t last_reference_ns_ = 0;
  Measured result_;
};

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace

void MeasureOptions::validate() const {
  require(min_rounds >= 1, "min_rounds must be at least 1");
  require(max_rounds >= min_rounds, "max_rounds must not be below min_rounds");
  require(samples_per_visit >= 1, "samples_per_visit must be at least 1");
  require(warmup_runs >= 1, "warmup_runs must be at least 1");
  require(time_budget_ns > 0, "the time budget must be positive");
  require(target_halfwidth >= 0.0 && !std::isnan(target_halfwidth), "target_halfwidth must not be negative");
  require(min_sample_ns >= 0, "min_sample_ns must not be negative");
  require(reference_interval_ns > 0, "reference_interval_ns must be positive");
}

Measured measure_interleaved(std::span<Runnable* const> entries, std::span<Runnable* const> references,
                             const MeasureOptions& options, Clock& clock, const Control& control) {
  options.validate();
  return Measurement(entries, references, options, clock, control).run();
}

}  // namespace lutra::timing
