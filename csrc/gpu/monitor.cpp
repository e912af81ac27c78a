#include "gpu/monitor.hpp"

#include <array>
#include <stdexcept>

namespace lutra::gpu {

Monitor::Monitor(const Candidates& candidates, const std::string& pci_bus_id)
    : library_("NVIDIA's management library", candidates) {
#define LUTRA_FIND(name, symbol, ...) library_.find(symbol, api_.name);
  LUTRA_NVML_FUNCTIONS(LUTRA_FIND)
#undef LUTRA_FIND
  if (const nvml::Result result = api_.Init(); result != nvml::kSuccess)
    throw std::runtime_error("NVIDIA's management library does not start (error " + std::to_string(result) +
                             ")");
  if (api_.DeviceGetHandleByPciBusId(pci_bus_id.c_str(), &device_) != nvml::kSuccess) {
    api_.Shutdown();
    throw std::runtime_error("NVIDIA's management library does not know the GPU at " + pci_bus_id);
  }
}

Monitor::~Monitor() { api_.Shutdown(); }

GpuState Monitor::state() const {
  GpuState state;
  unsigned milliwatts = 0;
  if (api_.DeviceGetPowerUsage(device_, &milliwatts) == nvml::kSuccess) state.power_w = milliwatts / 1e3;
  if (api_.DeviceGetPowerManagementLimit(device_, &milliwatts) == nvml::kSuccess)
    state.power_limit_w = milliwatts / 1e3;
  if (api_.DeviceGetClockInfo(device_, nvml::kClockSm, &state.sm_mhz) != nvml::kSuccess) state.sm_mhz = 0;
  if (api_.DeviceGetMaxClockInfo(device_, nvml::kClockSm, &state.max_sm_mhz) != nvml::kSuccess)
    state.max_sm_mhz = 0;
  if (api_.DeviceGetCurrentClocksThrottleReasons(device_, &state.reasons) == nvml::kSuccess)
    state.slowed = (state.reasons & nvml::kSlowingReasons) != 0;
  std::array<char, 96> version{};
  if (api_.SystemGetDriverVersion(version.data(), static_cast<unsigned>(version.size())) == nvml::kSuccess)
    state.driver_version = version.data();
  return state;
}

}  // namespace lutra::gpu
