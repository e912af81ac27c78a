#pragma once

#include <algorithm>
#include <cmath>

#include "gpu_sim/constants.hpp"
#include "gpu_sim/device.hpp"

namespace lutra::gpu_sim {

enum class Bound : unsigned char { kCompute, kDram, kL2, kLaunch };

struct Answer {
  double latency_ns = 0;
  Bound bound = Bound::kLaunch;
};

/// What a kernel asks of each part of a device, each as the time it would take alone, ns.
struct Parts {
  double compute = 0;
  double dram = 0;
  double l2 = 0;
  double serial = 0;  ///< beside the others: second kernels, latencies that nothing hides
  double flops = 0;   ///< that are executed, padding included
  double dram_bytes = 0;
  double l2_bytes = 0;
};

inline double square(double x) { return x * x; }
/// The smooth maximum (x^4 + y^4 + z^4)^(1/4): parts overlap, but not wholly where they are alike.
inline double norm4(double x, double y, double z = 0) {
  const double most = std::max({x, y, z});
  if (most <= 0) return 0;
  const auto fourth = [most](double part) { return square(square(part / most)); };
  return most * std::sqrt(std::sqrt(fourth(x) + fourth(y) + fourth(z)));
}
inline double norm8(double x, double y) {
  const double most = std::max(x, y);
  if (most <= 0) return 0;
  return most * std::sqrt(std::sqrt(std::sqrt(1 + square(square(square(std::min(x, y) / most))))));
}

/// Time of the parts together, before power and launch, ns.
inline double kernel_ns(const Parts& parts) {
  return norm4(parts.compute, parts.dram, parts.l2) + parts.serial;
}

/// The least time that the power budget leaves, ns; `power` is of the device's node (Model).
inline double power_ns(const Parts& parts, const Power& power, const Host& host, const Device& device) {
  if (power.pj_per_flop <= 0) return 0;
  const double picojoules = parts.flops * power.pj_per_flop + parts.l2_bytes * power.pj_per_l2_byte +
                            parts.dram_bytes * power.pj_per_byte;
  return std::max(0.0, 1e-3 * picojoules / (device.tdp_w * (1 - power.idle_share)) - host.pause_ns);
}

/// Latency and bound of a kernel of these parts.
inline Answer answer(const Parts& parts, const Device& device, const Host& host, const Power& power) {
  const double floor = host.floor_ns > 0 ? host.floor_ns : device.launch_ns;
  const double powered = power_ns(parts, power, host, device);
  const double kernel = norm8(kernel_ns(parts), powered);
  const double latency = norm8(floor, host.unhidden * floor + kernel);
  Bound bound = Bound::kCompute;
  double most = std::max(parts.compute, powered);
  if (parts.dram > most) bound = Bound::kDram, most = parts.dram;
  if (parts.l2 > most) bound = Bound::kL2;
  if (floor > kernel) bound = Bound::kLaunch;
  return {latency, bound};
}

}  // namespace lutra::gpu_sim
