#include "gpu/clock.hpp"

namespace lutra::gpu {

void DeviceClock::spent(std::int64_t host_ns, std::int64_t device_ns) {
  // Time never goes back: where the two clocks differ the other way round, what is short stays short.
  if (host_ns > device_ns) withheld_ns_ += host_ns - device_ns;
  device_ns_ += device_ns;
}

}  // namespace lutra::gpu
