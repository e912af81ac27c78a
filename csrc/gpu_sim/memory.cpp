#include "gpu_sim/memory.hpp"

namespace lutra::gpu_sim {

namespace {

/// Bytes that are not in the L2 when they are asked for.
double missed(const Device& device, double bytes, double share) {
  return bytes * std::clamp(1 - share * device.l2_bytes / bytes, 0.0, 1.0);
}

}  // namespace

Parts stream_parts(const Device& device, const StreamConstants& constants, double bytes, double outputs,
                   double inputs) {
  Parts parts;
  const double l2_rate = constants.l2_bytes_per_clock * device.sm_count * device.clock_ghz;
  parts.dram_bytes = missed(device, bytes, constants.warm_share);
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.dram_efficiency);
  parts.l2 = bytes / l2_rate;
  const double lanes = device.per_clock(Dtype::kFp32) / 2;
  parts.compute = outputs * (constants.element_cycles + (inputs - 1) * constants.window_cycles) /
                  (lanes * device.sm_count * device.clock_ghz);
  parts.serial = constants.ramp_ns;
  return parts;
}

Parts row_parts(const Device& device, const RowConstants& constants, double rows, double width,
                double element_bytes) {
  Parts parts;
  const double once = rows * width * element_bytes;
  const double l2_rate = constants.l2_bytes_per_clock * device.sm_count * device.clock_ghz;
  parts.dram_bytes = missed(device, 2 * once, constants.warm_share);
  double reads = 1;
  if (width > constants.register_width) {
    reads = constants.passes;
    const double live = std::min(rows, device.sm_count * constants.rows_in_flight) * width * element_bytes;
    parts.dram_bytes +=
        (reads - 1) * once * std::clamp(1 - constants.retained_share * device.l2_bytes / live, 0.0, 1.0);
  }
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.dram_efficiency);
  parts.l2 = (reads + 1) * once / l2_rate;
  const double turns = std::ceil(rows / device.sm_count);
  parts.compute = turns * (constants.row_latency_ns + width / constants.row_rate / device.clock_ghz);
  return parts;
}

}  // namespace lutra::gpu_sim
