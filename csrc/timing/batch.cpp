#include "timing/batch.hpp"

#include <algorithm>

namespace lutra::timing {
namespace {

constexpr std::int64_t kMaxBatch = std::int64_t{1} << 24;  // a runnable that takes no time at all ends here
constexpr std::int64_t kMaxGrowth = 10;

}  // namespace

std::int64_t calibrate_batch(Clock& clock, Runnable& runnable, std::int64_t min_sample_ns) {
  std::int64_t batch = 1;
  while (batch < kMaxBatch) {
    const std::int64_t wall_ns = sample_batch(clock, runnable, batch).wall_ns;
    if (wall_ns >= min_sample_ns) break;
    const std::int64_t wanted = wall_ns > 0 ? (batch * min_sample_ns + wall_ns - 1) / wall_ns : kMaxBatch;
    batch = std::min({std::max(wanted, batch + 1), batch * kMaxGrowth, kMaxBatch});
  }
  return batch;
}

}  // namespace lutra::timing
