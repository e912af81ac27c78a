#pragma once

#include <span>
#include <vector>

namespace lutra::cpu_sim {

// An analytic model of what an op takes on a CPU: arithmetic at a share of the peak, bytes at the rate of the
// level of memory that they come from, and what a call costs. `profiler/cpu_sim/reference.py` is its plain
// twin, and says where each term is from.

/// How the arithmetic of an op is done; the same numbers as `lutra.profiler.cpu_sim.work.Kind`.
enum class Kind : int { product = 0, depthwise = 1, pool = 2, pointwise = 3 };

/// What most of an op's time goes to.
enum class Bound : int { compute = 0, l2 = 1, llc = 2, dram = 3, launch = 4 };

/// A CPU, and how many of its cores are at work.
struct Chip {
  int threads = 1;
  double ghz = 1.0;
  double flops_per_cycle = 8.0;  ///< of one core, in the op's number format
  double lanes = 4.0;            ///< elements of that format in a vector
  double efficiency = 0.5;       ///< share of the peak that large products reach
  double l2_bytes = 0.0;         ///< what one core keeps for itself
  double llc_bytes = 0.0;        ///< what all cores share; 0 for nothing
  double dram_gb_s = 10.0;
  double core_dram_gb_s = 10.0;
  double fork_us = 0.0;
  double compute_factor = 1.0;  ///< of a calibration
  double memory_factor = 1.0;
};

/// What holds for every CPU.
struct Constants {
  double depthwise = 1.0;  ///< efficiencies beside that of large products
  double pool = 1.0;
  double pointwise = 1.0;
  double depth_half = 0.0;  ///< products added up at which half of the efficiency is reached
  double rows_half = 0.0;
  double winograd = 1.0;             ///< how much quicker a 3x3 convolution gets
  double l2_bytes_per_cycle = 16.0;  ///< of one core
  double llc_bytes_per_cycle = 8.0;
  double dram_share = 1.0;  ///< of the bandwidth that an op reaches
  double op_us = 0.0;
};

/// The work of one op; the attributes of `lutra.profiler.cpu_sim.work.CpuWork`.
struct Work {
  Kind kind = Kind::product;
  double flops = 0.0;
  double activation_bytes = 0.0;
  double weight_bytes = 0.0;
  double depth = 1.0;
  double outputs = 1.0;
  double rows = 1.0;
  bool winograd = false;
};

struct Estimate {
  double latency_ns = 0.0;
  Bound bound = Bound::launch;
};

/// @throws std::invalid_argument if a number is negative or not finite, or one that divides is 0.
void require_possible(const Chip& chip, const Constants& constants);

/// @throws std::invalid_argument as `require_possible`, of work as well.
Estimate estimate(const Work& work, const Chip& chip, const Constants& constants);
std::vector<Estimate> estimate_all(std::span<const Work> works, const Chip& chip, const Constants& constants);

}  // namespace lutra::cpu_sim
