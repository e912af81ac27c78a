#pragma once

#include <cstdint>

namespace lutra::timing {

/// What the operating system counted for the calling thread until now.
struct Counters {
  std::int64_t involuntary_switches = 0;
  std::int64_t minor_faults = 0;
  std::int64_t cpu = -1;  ///< The logical CPU the thread runs on; -1 where it cannot be known.
};

/// Source of time and counters. Injected, so that the protocol can be tested without waiting.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// Monotonic wall time in ns from an arbitrary origin.
  virtual std::int64_t wall_ns() = 0;
  /// CPU time of the calling thread in ns; unlike wall time it stops while the thread is preempted.
  virtual std::int64_t thread_cpu_ns() = 0;
  virtual Counters counters() = 0;
};

/// The machine's clocks: CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID and getrusage of the thread.
class SystemClock final : public Clock {
 public:
  std::int64_t wall_ns() override;
  std::int64_t thread_cpu_ns() override;
  Counters counters() override;
};

struct ClockCalibration {
  std::int64_t resolution_ns = 1;    ///< Smallest step seen between two successive wall readings; at least 1.
  std::int64_t overhead_ns = 0;      ///< Wall time that an empty sample shows (median).
  std::int64_t cpu_overhead_ns = 0;  ///< Thread-CPU time that an empty sample shows (median).

  /// How long a sample must be for the clock to matter less than 0.1 % (resolution) and 1 % (overhead).
  [[nodiscard]] std::int64_t min_sample_ns() const;
};

ClockCalibration calibrate(Clock& clock);

}  // namespace lutra::timing
