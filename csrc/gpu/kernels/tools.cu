// What the measuring protocol runs beside what it measures. No element type: compiled by itself.

#ifndef LUTRA_HOST
#define LUTRA_KERNEL(name) extern "C" __global__ void lutra_##name
#define LUTRA_DEVICE __device__ __forceinline__
LUTRA_DEVICE unsigned long long lutra_now_ns() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}
LUTRA_DEVICE unsigned long long lutra_cycles() { return clock64(); }
LUTRA_DEVICE void lutra_sleep() { __nanosleep(100); }
LUTRA_DEVICE void lutra_fence() { __threadfence_system(); }
#endif

/// Nothing: what a node of a graph costs by itself.
LUTRA_KERNEL(nothing)() {}

/// Holds the stream until the host sets `release`, or `timeout_ns` has passed: then `state` becomes 2, else 1.
LUTRA_KERNEL(hold)(const volatile int* release, volatile int* state, unsigned long long timeout_ns) {
  if (threadIdx.x != 0 || blockIdx.x != 0) return;
  const unsigned long long begin = lutra_now_ns();
  int reached = 1;
  while (*release == 0) {
    if (lutra_now_ns() - begin > timeout_ns) {
      reached = 2;
      break;
    }
    lutra_sleep();
  }
  *state = reached;
  lutra_fence();
}

/// Writes over a buffer, so that it takes the place of everything in the cache.
LUTRA_KERNEL(flush)(unsigned* buffer, unsigned long long count, unsigned value) {
  const unsigned long long step = static_cast<unsigned long long>(gridDim.x) * blockDim.x;
  for (unsigned long long i = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    buffer[i] = value;
}

/// Cycles and nanoseconds that pass on one multiprocessor in at least `duration_ns`: times[0] and times[1].
LUTRA_KERNEL(clock_probe)(unsigned long long* times, unsigned long long duration_ns) {
  if (threadIdx.x != 0 || blockIdx.x != 0) return;
  const unsigned long long begin_ns = lutra_now_ns();
  const unsigned long long begin = lutra_cycles();
  unsigned long long now_ns = begin_ns;
  while (now_ns - begin_ns < duration_ns) now_ns = lutra_now_ns();
  times[0] = lutra_cycles() - begin;
  times[1] = now_ns - begin_ns;
}

/// Multiply-adds on registers only: follows the clock of the multiprocessors.
LUTRA_KERNEL(arithmetic)(float* sink, int rounds) {
  float a = static_cast<float>(threadIdx.x);
  float b = a + 1.0f;
  float c = a + 2.0f;
  float d = a + 3.0f;
  for (int i = 0; i < rounds; ++i) {
    a = a * 0.999f + 0.5f;
    b = b * 0.999f + 0.5f;
    c = c * 0.999f + 0.5f;
    d = d * 0.999f + 0.5f;
  }
  if (a + b + c + d == 12345.0f) sink[0] = a;  // never; keeps the loop
}

/// Reads two buffers and writes a third: follows the speed of memory where they are large.
LUTRA_KERNEL(triad)(const float4* a, const float4* b, float4* c, unsigned count) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
    const float4 left = a[i];
    const float4 right = b[i];
    float4 sum;
    sum.x = left.x + 0.5f * right.x;
    sum.y = left.y + 0.5f * right.y;
    sum.z = left.z + 0.5f * right.z;
    sum.w = left.w + 0.5f * right.w;
    c[i] = sum;
  }
}
