#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gpu/clock.hpp"
#include "gpu/program.hpp"
#include "timing/runnable.hpp"

namespace lutra::gpu {

/// The clock of the multiprocessors around samples: shared by everything that is timed on a GPU.
class ClockWatch {
 public:
  /// A sample around which the clock was below this share of the highest seen is taken again (as nvbench
  /// does).
  static constexpr double kSlowShare = 0.75;
  static constexpr int kMostRetries = 4;

  explicit ClockWatch(std::shared_ptr<const Gpu> gpu);

  /// MHz now: cycles over nanoseconds on one multiprocessor.
  double probe();
  [[nodiscard]] bool is_slow(double mhz) const { return mhz < kSlowShare * highest_; }
  [[nodiscard]] double highest_mhz() const { return highest_; }

 private:
  std::shared_ptr<const Gpu> gpu_;
  Memory times_;
  double highest_ = 0.0;
};

/// What is known of the samples of one runnable besides their time.
struct Observed {
  double sm_mhz = 0.0;           ///< median around samples
  std::int64_t discarded = 0;    ///< samples taken again because the clock was down
  std::int64_t slow = 0;         ///< samples that were kept nevertheless
  std::int64_t dispatch_ns = 0;  ///< median host time to put one execution on the stream
};

/// Something timed by events on the GPU's stream under a `DeviceClock`.
class TimedRunnable : public timing::Runnable {
 public:
  TimedRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                std::shared_ptr<ClockWatch> watch);

  void run() final;
  void before() override;
  [[nodiscard]] Observed observed() const;

 protected:
  /// Device time of one execution, in ns.
  virtual std::int64_t execute() = 0;
  [[nodiscard]] const Gpu& gpu() const { return *gpu_; }
  [[nodiscard]] DeviceClock& clock() { return *clock_; }
  [[nodiscard]] const Stopwatch& stopwatch() const { return stopwatch_; }
  void dispatched(std::int64_t host_ns) { dispatch_ns_.push_back(host_ns); }

 private:
  std::shared_ptr<const Gpu> gpu_;
  std::shared_ptr<DeviceClock> clock_;
  std::shared_ptr<ClockWatch> watch_;
  Stopwatch stopwatch_;
  std::vector<double> mhz_;
  std::vector<std::int64_t> dispatch_ns_;
  std::int64_t discarded_ = 0;
  std::int64_t slow_ = 0;
};

/// A graph of the program's copies, each `repeats` times, so that no launch is seen: the "hot" time where
/// there is one copy, and that with cold weights where the copies turn the cache over.
class GraphRunnable final : public TimedRunnable {
 public:
  /// Unless they are given, repeats are chosen so that the graph runs for about this long.
  static constexpr std::int64_t kGraphNs = 1'000'000;
  static constexpr std::int64_t kMostNodes = 20'000;

  /// @param repeats of each copy; 0 for as many as make the graph long enough.
  GraphRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
                std::shared_ptr<ClockWatch> watch, std::int64_t repeats = 0);

  /// Also notes what putting one execution on the stream costs the host.
  void before() override;
  /// Executions of the program in one run.
  [[nodiscard]] std::int64_t executions() const { return program_->copies() * repeats_; }

 protected:
  std::int64_t execute() override;

 private:
  [[nodiscard]] std::int64_t enough_repeats() const;

  std::shared_ptr<const Program> program_;
  std::int64_t repeats_;
  std::unique_ptr<Recording> recording_;
  std::int64_t next_ = 0;
};

/// One execution behind a kernel that holds the stream until all of it is enqueued, after the cache was
/// flushed: the "cold" time.
class ColdRunnable final : public TimedRunnable {
 public:
  /// A stream that is held for so long is let go: what is timed waits for the host.
  static constexpr std::int64_t kHoldNs = 2'000'000'000;

  ColdRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
               std::shared_ptr<ClockWatch> watch);
  ~ColdRunnable() override;

 protected:
  /// @throws std::runtime_error where the stream had to be let go.
  std::int64_t execute() override;

 private:
  std::shared_ptr<const Program> program_;
  Memory scratch_;
  volatile int* flags_ = nullptr;  ///< release, state
  cuda::Pointer device_flags_ = 0;
  std::int64_t next_ = 0;
  unsigned written_ = 0;
};

/// Whole executions one by one, as a program without a graph makes them: from the first launch to the end.
class EagerRunnable final : public TimedRunnable {
 public:
  EagerRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
                std::shared_ptr<ClockWatch> watch);

 protected:
  std::int64_t execute() override;

 private:
  std::shared_ptr<const Program> program_;
};

/// Fixed work on the GPU that is timed beside everything else: multiply-adds, or a stream through memory.
class ReferenceRunnable final : public TimedRunnable {
 public:
  enum class Kind { kCompute, kMemory };
  ReferenceRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                    std::shared_ptr<ClockWatch> watch, Kind kind);

 protected:
  std::int64_t execute() override;

 private:
  Kind kind_;
  Memory memory_;
};

/// A graph of so many kernels that do nothing.
class EmptyRunnable final : public TimedRunnable {
 public:
  EmptyRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                std::shared_ptr<ClockWatch> watch, std::int64_t nodes);

 protected:
  std::int64_t execute() override;

 private:
  std::unique_ptr<Recording> recording_;
};

}  // namespace lutra::gpu
