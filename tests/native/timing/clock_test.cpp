#include "timing/clock.hpp"

#include <stdexcept>

#include "check.hpp"
#include "timing/barrier.hpp"
#include "timing/fake.hpp"
#include "timing/sample.hpp"

using namespace lutra::timing;

namespace {

void calibration_finds_the_step_of_the_clock() {
  FakeClock clock(40);
  const ClockCalibration calibration = calibrate(clock);
  CHECK(calibration.resolution_ns == 40);
  CHECK(calibration.overhead_ns == 40);      // one reading lies inside an empty sample's wall time
  CHECK(calibration.cpu_overhead_ns == 80);  // and two inside its CPU time
  CHECK(calibration.min_sample_ns() == 40'000);
}

void overhead_rules_when_it_is_the_larger() {
  const ClockCalibration calibration = {.resolution_ns = 1, .overhead_ns = 30, .cpu_overhead_ns = 220};
  CHECK(calibration.min_sample_ns() == 22'000);
}

void a_clock_that_stands_still_calibrates() {
  FakeClock clock;
  const ClockCalibration calibration = calibrate(clock);
  CHECK(calibration.resolution_ns == 1 && calibration.overhead_ns == 0 && clock.now_ns() == 0);
}

void samples_hold_what_passed_during_the_work() {
  FakeClock clock;
  clock.advance(500);
  const Sample sample = take_sample(clock, [&clock] { clock.advance(1234); });
  CHECK(sample.start_ns == 500 && sample.wall_ns == 1234 && sample.cpu_ns == 1234 && sample.cpu == 0);
}

void the_system_clock_moves_forward() {
  SystemClock clock;
  const std::int64_t wall = clock.wall_ns();
  const std::int64_t cpu = clock.thread_cpu_ns();
  const Counters before = clock.counters();
  double sum = 0.0;
  for (int i = 0; i < 200'000; ++i) do_not_optimize(sum += 0.5);
  CHECK(clock.wall_ns() > wall);
  CHECK(clock.thread_cpu_ns() > cpu);
  CHECK(clock.counters().minor_faults >= before.minor_faults);
  CHECK(calibrate(clock).resolution_ns >= 1);
}

void a_fake_clock_cannot_run_backwards() {
  CHECK_THROWS(std::invalid_argument, FakeClock(-1));
  const auto clock = std::make_shared<FakeClock>();
  CHECK_THROWS(std::invalid_argument, NullRunnable(nullptr, 10, 0.0, 0));
  CHECK_THROWS(std::invalid_argument, NullRunnable(clock, 0, 0.0, 0));
  CHECK_THROWS(std::invalid_argument, NullRunnable(clock, 10, -0.1, 0));
}

void jitter_only_adds_and_repeats_with_its_seed() {
  const auto duration_of = [](std::uint64_t seed) {
    const auto clock = std::make_shared<FakeClock>();
    NullRunnable runnable(clock, 1'000'000, 0.2, seed);
    runnable.run();
    return clock->now_ns();
  };
  CHECK(duration_of(1) >= 1'000'000 && duration_of(1) <= 1'200'000);
  CHECK(duration_of(1) == duration_of(1));
  CHECK(duration_of(1) != duration_of(2));
}

}  // namespace

int main() {
  calibration_finds_the_step_of_the_clock();
  overhead_rules_when_it_is_the_larger();
  a_clock_that_stands_still_calibrates();
  samples_hold_what_passed_during_the_work();
  the_system_clock_moves_forward();
  a_fake_clock_cannot_run_backwards();
  jitter_only_adds_and_repeats_with_its_seed();
  return lutra::check::finish();
}
