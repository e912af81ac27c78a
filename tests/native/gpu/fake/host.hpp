#pragma once

// Our GPU kernels on the host: what csrc/gpu/kernels expects of a GPU, done by fibers that take turns. A
// block's threads run one behind the other up to the next barrier, blocks one behind the other, so results do
// not depend on timing.

#include <ucontext.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#define LUTRA_HOST
#define LUTRA_KERNEL(name) void lutra_##name
#define LUTRA_DEVICE inline
#define LUTRA_SHARED static
#define LUTRA_SYNC() ::fake::barrier()

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
struct float4 {
  float x, y, z, w;
};

inline Index threadIdx, blockIdx, blockDim, gridDim;

namespace fake {

/// Lets all other threads of the block come to the same place.
void barrier();
/// Calls `kernel` as every thread of every block; `waits` where its threads wait for each other, which takes
/// fibers.
void run(const std::function<void()>& kernel, Index grid, Index block, bool waits);
/// The GPU's own time, in ns, and cycles since its start; reading either takes a moment.
unsigned long long now_ns();
unsigned long long cycles();

}  // namespace fake

inline float lutra_shuffle_xor(float value, int mask) {
  static float slots[1024];
  const unsigned self = threadIdx.y * blockDim.x + threadIdx.x;
  slots[self] = value;
  fake::barrier();
  const float other = slots[self ^ static_cast<unsigned>(mask)];
  fake::barrier();
  return other;
}
inline float lutra_half_to_float(unsigned short bits) {
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}
inline unsigned short lutra_float_to_half(float value) {
  return std::bit_cast<unsigned short>(static_cast<_Float16>(value));
}
inline unsigned lutra_float_bits(float value) { return std::bit_cast<unsigned>(value); }
inline float lutra_bits_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned long long lutra_now_ns() { return fake::now_ns(); }
inline unsigned long long lutra_cycles() { return fake::cycles(); }
inline void lutra_sleep() {}
inline void lutra_fence() {}
inline float rsqrtf(float value) { return 1.0F / std::sqrt(value); }
