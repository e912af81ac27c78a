#pragma once

#include <cstdint>

#include "timing/clock.hpp"
#include "timing/runnable.hpp"
#include "timing/sample.hpp"

namespace lutra::timing {

inline Sample sample_batch(Clock& clock, Runnable& runnable, std::int64_t batch) {
  runnable.before();
  return take_sample(clock, [&runnable, batch] {
    for (std::int64_t i = 0; i < batch; ++i) runnable.run();
  });
}

/// Executions that a sample needs to last `min_sample_ns`. The runnable must be warm. Grows the batch until
/// one sample is long enough, never trusting a single short reading; slack is small, because each step aims
/// at the target from what the last one showed.
std::int64_t calibrate_batch(Clock& clock, Runnable& runnable, std::int64_t min_sample_ns);

}  // namespace lutra::timing
