#include "timing/clock.hpp"

#include <sys/resource.h>
#include <time.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <array>
#include <limits>

#include "timing/sample.hpp"

namespace lutra::timing {
namespace {

constexpr int kReadings = 101;  // odd, so that the median is one of the readings
constexpr int kMaxSpins = 1000;

std::int64_t read_ns(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::int64_t>(now.tv_nsec);
}

/// The next step of the wall clock, or 0 if it stands still (a fake clock does).
std::int64_t next_step_ns(Clock& clock) {
  const std::int64_t before = clock.wall_ns();
  for (int i = 0; i < kMaxSpins; ++i) {
    const std::int64_t now = clock.wall_ns();
    if (now > before) return now - before;
  }
  return 0;
}

std::int64_t median_of(std::array<std::int64_t, kReadings>& values) {
  const auto middle = values.begin() + kReadings / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::int64_t SystemClock::wall_ns() { return read_ns(CLOCK_MONOTONIC); }

std::int64_t SystemClock::thread_cpu_ns() { return read_ns(CLOCK_THREAD_CPUTIME_ID); }

Counters SystemClock::counters() {
#ifdef RUSAGE_THREAD
  constexpr int kWho = RUSAGE_THREAD;
#else
  constexpr int kWho = RUSAGE_SELF;  // systems without per-thread usage: the whole process is the upper bound
#endif
  rusage usage{};
  getrusage(kWho, &usage);
  Counters counters;
  counters.involuntary_switches = usage.ru_nivcsw;
  counters.minor_faults = usage.ru_minflt;
#ifdef __linux__
  counters.cpu = sched_getcpu();
#endif
  return counters;
}

std::int64_t ClockCalibration::min_sample_ns() const {
  return std::max(1000 * resolution_ns, 100 * std::max(overhead_ns, cpu_overhead_ns));
}

ClockCalibration calibrate(Clock& clock) {
  ClockCalibration calibration;
  std::int64_t resolution = std::numeric_limits<std::int64_t>::max();
  std::array<std::int64_t, kReadings> wall{};
  std::array<std::int64_t, kReadings> cpu{};
  for (std::size_t i = 0; i < kReadings; ++i) {
    if (const std::int64_t step = next_step_ns(clock); step > 0) resolution = std::min(resolution, step);
    const Sample empty = take_sample(clock, [] {});
    wall[i] = empty.wall_ns;
    cpu[i] = empty.cpu_ns;
  }
  if (resolution != std::numeric_limits<std::int64_t>::max()) calibration.resolution_ns = resolution;
  calibration.overhead_ns = median_of(wall);
  calibration.cpu_overhead_ns = median_of(cpu);
  return calibration;
}

}  // namespace lutra::timing
