#include <vector>

#include "check.hpp"
#include "timing/clock.hpp"
#include "timing/reference.hpp"
#include "timing/sample.hpp"

using namespace lutra::timing;

namespace {

/// The reference must do its work on every run: a body that the compiler removed takes nanoseconds, while the
/// real one takes tens of microseconds on the fastest machine. CPU time, so a busy machine cannot matter.
void work_is_really_done(Runnable& reference) {
  SystemClock clock;
  reference.run();
  for (int i = 0; i < 3; ++i) {
    const Sample sample = take_sample(clock, [&reference] { reference.run(); });
    CHECK(sample.cpu_ns > 5'000);
  }
}

}  // namespace

int main() {
  ComputeReference compute;
  MemoryReference memory;
  work_is_really_done(compute);
  work_is_really_done(memory);
  return lutra::check::finish();
}
