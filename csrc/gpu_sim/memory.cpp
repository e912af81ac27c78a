#include "gpu_sim/memory.hpp"

namespace lutra::gpu_sim {

namespace {

/// Bytes that are not in the L2 when they are asked for.
double missed(const Device& device, double bytes, double share) {
  return std::max(0.0, bytes - share * device.l2_bytes);
}

/// Threads of the block that works on a row: a power of two from a warp to half of 1024 (as PyTorch's softmax
/// has it).
double block_threads(const RowConstants& constants, double width) {
  if (constants.block_threads > 0) return constants.block_threads;
  const double most = std::min(width / 4, 1024.0);
  double threads = 32;
  while (threads < most / 2) threads *= 2;
  return threads;
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
  constexpr double kWarp = 32, kVector = 4;
  const bool in_registers = width <= constants.warp_width;
  const double threads = in_registers ? kWarp : block_threads(constants, width);
  const double in_flight = std::max(1.0, std::floor(device.threads_per_sm / threads));
  const double vector_rounds = in_registers ? 0 : std::floor(width / (kVector * threads));
  const double scalar_rounds = std::ceil((width - vector_rounds * kVector * threads) / threads);
  const double row = constants.row_ns + vector_rounds * constants.vector_round_ns +
                     (in_registers ? 0 : scalar_rounds * constants.scalar_round_ns);

  Parts parts;
  parts.compute = std::ceil(rows / (device.sm_count * in_flight)) * row;
  const double once = rows * width * element_bytes;
  const double rereads = in_registers ? 0 : constants.rereads;
  const double live = std::min(rows, device.sm_count * in_flight) * width * element_bytes / device.l2_bytes;
  const double lost = std::clamp((live - constants.kept_share) / constants.loss_width, 0.0, 1.0);
  parts.dram_bytes = missed(device, 2 * once, constants.warm_share) + rereads * once * lost;
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.dram_efficiency);
  parts.l2_bytes = (2 + rereads) * once;
  parts.l2 = parts.l2_bytes / (constants.l2_bytes_per_clock * device.sm_count * device.clock_ghz);
  return parts;
}

}  // namespace lutra::gpu_sim
