#pragma once

#include <cstddef>
#include <vector>

#include "timing/runnable.hpp"

namespace lutra::timing {

// Reference kernels: fixed work that is timed beside everything else, so that samples of different moments
// and tables of different days can be brought to one machine speed. Their work must never change between
// releases, or stored references lose their meaning.

/// Multiply-add on registers only: follows the clock frequency. About 0.1 ms at 3 GHz.
class ComputeReference final : public Runnable {
 public:
  void run() override;
};

/// Reads the next 4 MiB of a buffer of 64, over and over: follows the speed of memory (or of a last cache
/// larger than that), as weights do that a whole network has passed by since. Some tenths of a millisecond
/// to one.
class MemoryReference final : public Runnable {
 public:
  MemoryReference();
  void run() override;

 private:
  std::vector<float> buffer_;
  std::size_t next_ = 0;
};

}  // namespace lutra::timing
