#pragma once

#include <cstdint>
#include <string>

#include "gpu/api/nvml.hpp"
#include "gpu/shared_library.hpp"

namespace lutra::gpu {

/// What NVIDIA's management library says of a GPU now; 0 and "" where it does not say.
struct GpuState {
  unsigned sm_mhz = 0;
  unsigned max_sm_mhz = 0;
  double power_w = 0.0;
  double power_limit_w = 0.0;
  /// Something holds the clock down: power, heat, or the board (nvmlClocksEventReasons).
  bool slowed = false;
  unsigned long long reasons = 0;
  std::string driver_version;
};

/// NVIDIA's management library. It only looks: no setting of a GPU is ever changed.
class Monitor {
 public:
  /// @throws std::runtime_error where the library is missing or does not know the GPU.
  Monitor(const Candidates& candidates, const std::string& pci_bus_id);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

  [[nodiscard]] GpuState state() const;

 private:
  SharedLibrary library_;
  nvml::Api api_{};
  nvml::Device device_ = nullptr;
};

}  // namespace lutra::gpu
