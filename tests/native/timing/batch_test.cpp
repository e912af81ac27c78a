#include "timing/batch.hpp"

#include <memory>

#include "check.hpp"
#include "timing/fake.hpp"

using namespace lutra::timing;

namespace {

/// Takes no time and counts.
class Free final : public Runnable {
 public:
  void run() override { ++runs; }
  std::int64_t runs = 0;
};

std::int64_t batch_for(std::int64_t duration_ns, std::int64_t min_sample_ns) {
  const auto clock = std::make_shared<FakeClock>();
  NullRunnable runnable(clock, duration_ns, 0.0, 0);
  return calibrate_batch(*clock, runnable, min_sample_ns);
}

void long_work_is_not_repeated() {
  CHECK(batch_for(50'000, 40'000) == 1);
  CHECK(batch_for(40'000, 40'000) == 1);
}

void short_work_is_repeated_just_enough() {
  CHECK(batch_for(20'000, 40'000) == 2);
  CHECK(batch_for(30'000, 40'000) == 2);
  CHECK(batch_for(7, 40'000) == 5715);
  CHECK(batch_for(1, 40'000) == 40'000);
}

void first_reading_that_is_too_long_does_not_decide() {
  // A run that once takes nine times its usual time asks for a small batch; the next sample corrects that.
  class SlowOnce final : public Runnable {
   public:
    explicit SlowOnce(FakeClock& clock) : clock_(clock) {}
    void run() override {
      clock_.advance(first_ ? 900 : 100);
      first_ = false;
    }

   private:
    FakeClock& clock_;
    bool first_ = true;
  };
  FakeClock clock;
  SlowOnce runnable(clock);
  CHECK(calibrate_batch(clock, runnable, 1000) == 10);
}

void work_that_takes_no_time_ends() {
  FakeClock clock;
  Free runnable;
  CHECK(calibrate_batch(clock, runnable, 1000) == std::int64_t{1} << 24);
  CHECK(runnable.runs < std::int64_t{1} << 24);
}

void a_sample_runs_its_batch() {
  FakeClock clock;
  Free runnable;
  sample_batch(clock, runnable, 17);
  CHECK(runnable.runs == 17);
}

}  // namespace

int main() {
  long_work_is_not_repeated();
  short_work_is_repeated_just_enough();
  first_reading_that_is_too_long_does_not_decide();
  work_that_takes_no_time_ends();
  a_sample_runs_its_batch();
  return lutra::check::finish();
}
