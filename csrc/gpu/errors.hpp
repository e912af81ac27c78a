#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "timing/runnable.hpp"

namespace lutra::gpu {

/// The GPU is gone, or in a state from which only a new process recovers: no later call will succeed.
class GpuLost : public timing::Fatal {
 public:
  using Fatal::Fatal;
};

/// What was asked for does not fit into the memory of the GPU.
class OutOfGpuMemory : public std::runtime_error {
 public:
  OutOfGpuMemory(std::size_t wanted_bytes, std::size_t free_bytes);
};

/// "1.5 GiB", "12 MiB", "300 bytes".
std::string bytes_text(std::size_t bytes);

}  // namespace lutra::gpu
