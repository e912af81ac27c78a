#include "timing/fake.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "timing/random.hpp"

namespace lutra::timing {

FakeClock::FakeClock(std::int64_t tick_ns) : tick_ns_(tick_ns) {
  if (tick_ns < 0) throw std::invalid_argument("tick_ns must not be negative");
}

std::int64_t FakeClock::wall_ns() {
  now_ns_ += tick_ns_;
  return now_ns_;
}

NullRunnable::NullRunnable(std::shared_ptr<FakeClock> clock, std::int64_t duration_ns, double jitter,
                           std::uint64_t seed)
    : clock_(std::move(clock)), duration_ns_(duration_ns), jitter_(jitter), random_(seed) {
  if (!clock_) throw std::invalid_argument("a NullRunnable needs a clock");
  if (duration_ns < 1) throw std::invalid_argument("duration_ns must be at least 1");
  if (!(jitter >= 0.0) || std::isinf(jitter))
    throw std::invalid_argument("jitter must be finite and not negative");
}

void NullRunnable::run() {
  const double stretch = jitter_ > 0.0 ? jitter_ * uniform_unit(random_) : 0.0;
  clock_->advance(duration_ns_ + std::llround(static_cast<double>(duration_ns_) * stretch));
}

}  // namespace lutra::timing
