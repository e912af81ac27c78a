#pragma once

#include <cstdint>
#include <vector>

#include "timing/clock.hpp"

namespace lutra::timing {

/// One timed stretch of work: `batch` executions in a row, never divided, so that no digit is lost.
struct Sample {
  std::int64_t start_ns = 0;  ///< Wall reading at the start, in the clock's own origin.
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;
  std::int64_t involuntary_switches = 0;
  std::int64_t minor_faults = 0;
  std::int64_t cpu = -1;  ///< Logical CPU at the end of the sample.
};

/// Times `work`. The wall clock is read innermost, because it is the cheapest and the one most rows are
/// judged by; the counters, which cost a system call, are read outermost.
template <typename Work>
Sample take_sample(Clock& clock, Work&& work) {
  const Counters before = clock.counters();
  const std::int64_t cpu_start = clock.thread_cpu_ns();
  const std::int64_t start = clock.wall_ns();
  work();
  const std::int64_t stop = clock.wall_ns();
  const std::int64_t cpu_stop = clock.thread_cpu_ns();
  const Counters after = clock.counters();
  return {.start_ns = start,
          .wall_ns = stop - start,
          .cpu_ns = cpu_stop - cpu_start,
          .involuntary_switches = after.involuntary_switches - before.involuntary_switches,
          .minor_faults = after.minor_faults - before.minor_faults,
          .cpu = after.cpu};
}

/// The samples of one entry in the order they were taken: parallel columns of equal length.
struct Series {
  std::int64_t batch = 1;              ///< Executions in each sample; wall_ns / batch is the time of one.
  std::vector<std::int64_t> start_ns;  ///< Since the start of the measurement.
  std::vector<std::int64_t> wall_ns;
  std::vector<std::int64_t> cpu_ns;
  std::vector<std::int64_t> involuntary_switches;
  std::vector<std::int64_t> minor_faults;
  std::vector<std::int64_t> cpu;
  std::vector<std::int64_t> round;

  void append(const Sample& sample, std::int64_t origin_ns, std::int64_t round_index) {
    start_ns.push_back(sample.start_ns - origin_ns);
    wall_ns.push_back(sample.wall_ns);
    cpu_ns.push_back(sample.cpu_ns);
    involuntary_switches.push_back(sample.involuntary_switches);
    minor_faults.push_back(sample.minor_faults);
    cpu.push_back(sample.cpu);
    round.push_back(round_index);
  }

  void reserve(std::size_t samples) {
    for (auto* column : {&start_ns, &wall_ns, &cpu_ns, &involuntary_switches, &minor_faults, &cpu, &round})
      column->reserve(samples);
  }
};

}  // namespace lutra::timing
