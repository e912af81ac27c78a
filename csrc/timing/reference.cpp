#include "timing/reference.hpp"

#include <cstddef>
#include <cstring>

#include "timing/barrier.hpp"

namespace lutra::timing {
namespace {

// A 128-bit vector exists on every supported target (SSE2, NEON), so the work is the same instruction stream
// whatever wider extensions the machine has.
using Lanes = float __attribute__((vector_size(16)));

constexpr int kSteps = 40'000;
constexpr std::size_t kLaneFloats = sizeof(Lanes) / sizeof(float);
constexpr std::size_t kBufferFloats = (std::size_t{64} << 20) / sizeof(float);
constexpr std::size_t kStretchFloats = (std::size_t{4} << 20) / sizeof(float);

}  // namespace

void ComputeReference::run() {
  // Eight independent chains hide the latency of a multiply followed by an add. The factors keep the values
  // bounded and away from denormals for any number of steps.
  const Lanes factor = {0.999F, 0.998F, 0.997F, 0.996F};
  const Lanes offset = {0.1F, 0.2F, 0.3F, 0.4F};
  Lanes chains[8] = {offset, offset, offset, offset, offset, offset, offset, offset};
  // The compiler must not know that the chains start equal, or it computes one and copies it.
  asm volatile("" : : "r"(chains) : "memory");
  Lanes a = chains[0], b = chains[1], c = chains[2], d = chains[3];
  Lanes e = chains[4], f = chains[5], g = chains[6], h = chains[7];
  for (int step = 0; step < kSteps; ++step) {
    a = a * factor + offset;
    b = b * factor + offset;
    c = c * factor + offset;
    d = d * factor + offset;
    e = e * factor + offset;
    f = f * factor + offset;
    g = g * factor + offset;
    h = h * factor + offset;
  }
  const Lanes total = a + b + c + d + e + f + g + h;
  do_not_optimize(total[0]);
}

MemoryReference::MemoryReference() : buffer_(kBufferFloats, 1.0F) {}

void MemoryReference::run() {
  const float* stretch = buffer_.data() + next_;
  next_ = (next_ + kStretchFloats) % kBufferFloats;
  Lanes sums[4] = {};
  for (std::size_t i = 0; i < kStretchFloats; i += 4 * kLaneFloats) {
    for (std::size_t chain = 0; chain < 4; ++chain) {
      Lanes values;
      std::memcpy(&values, stretch + i + chain * kLaneFloats, sizeof(values));
      sums[chain] += values;
    }
  }
  const Lanes total = sums[0] + sums[1] + sums[2] + sums[3];
  do_not_optimize(total[0]);
}

}  // namespace lutra::timing
