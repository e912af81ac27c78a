#pragma once

#include <cstdint>
#include <memory>
#include <random>

#include "timing/clock.hpp"
#include "timing/runnable.hpp"

namespace lutra::timing {

/// A clock that moves only when told to: nothing waits and every figure is exact.
class FakeClock final : public Clock {
 public:
  /// Each reading of the wall clock costs `tick_ns`.
  explicit FakeClock(std::int64_t tick_ns = 0);

  std::int64_t wall_ns() override;
  std::int64_t thread_cpu_ns() override { return now_ns_; }
  Counters counters() override { return {.involuntary_switches = 0, .minor_faults = 0, .cpu = 0}; }

  void advance(std::int64_t ns) { now_ns_ += ns; }
  [[nodiscard]] std::int64_t now_ns() const { return now_ns_; }

 private:
  std::int64_t tick_ns_;
  std::int64_t now_ns_ = 0;
};

/// Computes nothing; each run moves its clock by `duration_ns`, stretched by a random share of at most
/// `jitter` (0.1 = up to 10 % longer, as noise on a real machine only ever adds).
class NullRunnable final : public Runnable {
 public:
  /// @throws std::invalid_argument for a missing clock, a duration below 1 ns or a negative jitter.
  NullRunnable(std::shared_ptr<FakeClock> clock, std::int64_t duration_ns, double jitter, std::uint64_t seed);

  void run() override;

 private:
  std::shared_ptr<FakeClock> clock_;
  std::int64_t duration_ns_;
  double jitter_;
  std::mt19937_64 random_;
};

}  // namespace lutra::timing
