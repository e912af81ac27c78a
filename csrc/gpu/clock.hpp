#pragma once

#include <cstdint>

#include "timing/clock.hpp"

namespace lutra::gpu {

/// A clock under which a sample takes as long as the GPU did, while between samples it goes as the machine's
/// own: time budgets mean what they say. What the host waited for besides is made up for when `catch_up` is
/// called.
class DeviceClock final : public timing::Clock {
 public:
  std::int64_t wall_ns() override { return system_.wall_ns() - withheld_ns_; }
  /// The GPU's time alone, exact.
  std::int64_t thread_cpu_ns() override { return device_ns_; }
  /// The scheduler does not disturb a GPU.
  timing::Counters counters() override { return {.involuntary_switches = 0, .minor_faults = 0, .cpu = -1}; }

  /// The host's own time, for what is not the GPU's.
  std::int64_t host_ns() { return system_.wall_ns(); }
  /// The host spent `host_ns` on something that took the GPU `device_ns`.
  void spent(std::int64_t host_ns, std::int64_t device_ns);
  void catch_up() { withheld_ns_ = 0; }

 private:
  timing::SystemClock system_;
  std::int64_t withheld_ns_ = 0;
  std::int64_t device_ns_ = 0;
};

}  // namespace lutra::gpu
