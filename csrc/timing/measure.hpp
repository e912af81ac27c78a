#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "timing/clock.hpp"
#include "timing/runnable.hpp"
#include "timing/sample.hpp"

namespace lutra::timing {

/// Which time decides convergence. Thread-CPU time is immune to preemption but sees the calling thread
/// alone, so it fits single-threaded work only.
enum class Metric { kWall, kThreadCpu };

struct MeasureOptions {
  int min_rounds = 8;  ///< Rounds that every entry gets, whatever the budget.
  int max_rounds = 64;
  int samples_per_visit = 3;  ///< Samples taken of an entry each time its turn comes.
  int warmup_runs = 3;        ///< Executions of each entry before anything is recorded; at least 1.
  std::int64_t time_budget_ns = std::numeric_limits<std::int64_t>::max();  ///< Applies after min_rounds.
  double target_halfwidth = 0.02;  ///< Wanted relative half-width of p25's 95 % interval; 0: no early stop.
  Metric metric = Metric::kWall;
  std::int64_t min_sample_ns = 0;  ///< Shortest sample; 0 takes what the clock's calibration asks for.
  std::int64_t reference_interval_ns = 100'000'000;  ///< Longest gap between visits to the references.
  /// Indices of entries that are visited in every round, converged or not, as long as any other needs more:
  /// what they are compared with was then measured in the same moments.
  std::vector<std::size_t> every_round{};
  /// Entries that are only ever run one behind the other, as a network runs its kernels: each sequence takes
  /// one place in the random order of a round and is passed through samples_per_visit times, taking one
  /// sample of a single execution at each of its positions. An index may come several times, in one sequence
  /// only.
  std::vector<std::vector<std::size_t>> sequences{};
  std::uint64_t seed = 0;

  /// @throws std::invalid_argument naming the first option that is out of range.
  void validate() const;
};

struct EntryResult {
  Series samples;
  bool converged = false;
  double halfwidth = std::numeric_limits<double>::quiet_NaN();  ///< Of p25, relative; NaN below two rounds.
  std::string error;  ///< Why the entry was given up (what `run` threw); empty if it never failed.
};

struct Measured {
  std::vector<EntryResult> entries;  ///< In the order the entries were given in.
  std::vector<Series> references;    ///< In the order the references were given in.
  ClockCalibration clock;
  std::int64_t rounds = 0;  ///< Rounds begun.
  std::int64_t elapsed_ns = 0;
  bool interrupted = false;  ///< Cancelled before it was done.
  bool out_of_time = false;  ///< The budget ended it before every entry converged.
};

struct Progress {
  std::size_t converged = 0;  ///< Entries that need no more samples.
  std::size_t entries = 0;
  std::size_t current = 0;  ///< Index of the entry whose turn it is.
  std::int64_t round = 0;
  std::int64_t elapsed_ns = 0;
};

/// What may act on a measurement from outside. Both are looked at between entries only.
struct Control {
  const std::atomic<bool>* cancel = nullptr;  ///< Set to stop; what was measured so far is returned.
  std::function<void(const Progress&)> report_progress;  ///< At most five calls a second of the clock.
};

/// Times all entries against each other.
///
/// Every entry is warmed up and gets a batch size that makes its samples long enough for the clock. Then come
/// rounds; each visits every entry that has not converged once, in a new random order, so that slow drift of
/// the machine falls on all of them alike. The references are visited at the start of each round and whenever
/// `reference_interval_ns` has passed. An entry is converged once it has min_rounds and the bootstrap
/// interval of p25 over its rounds is narrow enough; a sequence goes on until all of its entries are.
///
/// An entry that throws is given up, keeping its samples; the others go on.
///
/// @throws std::invalid_argument for options out of range; `Fatal` as an entry throws it; whatever the
/// progress callback throws.
Measured measure_interleaved(std::span<Runnable* const> entries, std::span<Runnable* const> references,
                             const MeasureOptions& options, Clock& clock, const Control& control);

}  // namespace lutra::timing
