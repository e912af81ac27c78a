#pragma once

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

/// A pass over two buffers of 4 MiB, one read and one updated: follows the speed of the outer caches or
/// memory. Some tenths of a millisecond to one.
class MemoryReference final : public Runnable {
 public:
  MemoryReference();
  void run() override;

 private:
  std::vector<float> source_;
  std::vector<float> target_;
};

}  // namespace lutra::timing
