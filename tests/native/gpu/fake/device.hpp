#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "host.hpp"

// The state of the fake GPU, and how its libraries put work on it.

struct CUstream_st {
  bool capturing = false;
  std::vector<std::function<int()>> captured;
  volatile int* state = nullptr;  ///< of a kernel that holds the stream
  const volatile int* release = nullptr;
  unsigned long long timeout_ns = 0;
};

namespace fake {

/// A kernel by name: a call with its arguments copied, for threads to make.
using Maker = std::function<std::function<void()>(void**)>;
const std::map<std::string, Maker>& kernels(int element);

/// A setting: set through the environment ("LUTRA_FAKE_GPU", a list such as "mhz=900,fail_after=40") or
/// `lutra_fake_set`.
///
///     devices       GPUs that there are (1)
///     driver        CUDA version of the driver (13000)
///     memory_mib    of the GPU (8192)
///     mhz           clock (1500); slow_probes: so many of the next probes see a tenth of it
///     fail_after    launches after which every call fails with fail_with (719); -1: never
///     hang          what holds the stream is never released in time
///     compute       kernels compute (1), or only take their time (0)
///     refuse        cuDNN's fused form is refused
double setting(const char* name);
void set(const std::string& assignments);

/// Puts work that takes `ns` on a stream: now, or when the graph that is captured is launched. Returns a
/// CUresult.
int submit(CUstream_st* stream, unsigned long long ns, std::function<void()> work);
/// The result of every call from now on: 0, or what has gone wrong for good.
int health();

}  // namespace fake
