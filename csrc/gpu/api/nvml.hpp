#pragma once

// The part of NVIDIA's management library (libnvidia-ml.so.1) that is used: it only looks.

struct nvmlDevice_st;

namespace lutra::gpu::nvml {

using Result = int;
using Device = nvmlDevice_st*;

inline constexpr Result kSuccess = 0;
inline constexpr Result kGpuIsLost = 15;

inline constexpr int kClockSm = 1;
/// nvmlClocksEventReasons: what holds the clock down. Idle and the application's own clocks do not count.
inline constexpr unsigned long long kSlowingReasons = 0x04 | 0x08 | 0x20 | 0x40 | 0x80;

#define LUTRA_NVML_FUNCTIONS(X)                                                                 \
  X(Init, "nvmlInit_v2", void)                                                                  \
  X(Shutdown, "nvmlShutdown", void)                                                             \
  X(SystemGetDriverVersion, "nvmlSystemGetDriverVersion", char*, unsigned)                      \
  X(DeviceGetHandleByPciBusId, "nvmlDeviceGetHandleByPciBusId_v2", const char*, Device*)        \
  X(DeviceGetPowerManagementLimit, "nvmlDeviceGetPowerManagementLimit", Device, unsigned*)      \
  X(DeviceGetPowerUsage, "nvmlDeviceGetPowerUsage", Device, unsigned*)                          \
  X(DeviceGetClockInfo, "nvmlDeviceGetClockInfo", Device, int, unsigned*)                       \
  X(DeviceGetMaxClockInfo, "nvmlDeviceGetMaxClockInfo", Device, int, unsigned*)                 \
  X(DeviceGetCurrentClocksThrottleReasons, "nvmlDeviceGetCurrentClocksThrottleReasons", Device, \
    unsigned long long*)

struct Api {
#define LUTRA_DECLARE(name, symbol, ...) Result (*name)(__VA_ARGS__) = nullptr;
  LUTRA_NVML_FUNCTIONS(LUTRA_DECLARE)
#undef LUTRA_DECLARE
};

}  // namespace lutra::gpu::nvml
