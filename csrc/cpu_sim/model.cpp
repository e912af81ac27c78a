#include "cpu_sim/model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <stdexcept>

namespace lutra::cpu_sim {

namespace {

constexpr double kRowsOfTask = 8.0;  // what one thread takes at a time
constexpr double kOutputsOfTask = 32.0;
constexpr double kElementsOfTask = 4096.0;
constexpr double kCacheShare = 0.5;  // of a cache that holds activations from one op to the next

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

void require_all(std::initializer_list<double> numbers, bool positive, const char* what) {
  for (const double number : numbers)
    require(std::isfinite(number) && (positive ? number > 0 : number >= 0), what);
}

void require_work(const Work& work) {
  require_all({work.flops, work.activation_bytes, work.weight_bytes}, false,
              "work is negative or not finite");
  require_all({work.depth, work.outputs, work.rows}, true, "depth, outputs and rows must be positive");
}

double tasks_of(const Work& work) {
  if (work.kind == Kind::pointwise) return std::ceil(std::max(work.rows, 1.0) / kElementsOfTask);
  return std::ceil(work.rows / kRowsOfTask) * std::ceil(work.outputs / kOutputsOfTask);
}

double efficiency_of(const Work& work, const Chip& chip, const Constants& constants) {
  const double filled = work.outputs / (std::ceil(work.outputs / chip.lanes) * chip.lanes);
  switch (work.kind) {
    case Kind::product:
      return chip.efficiency * filled * work.depth / (work.depth + constants.depth_half) * work.rows /
             (work.rows + constants.rows_half);
    case Kind::depthwise:
      return chip.efficiency * constants.depthwise * filled;
    case Kind::pool:
      return chip.efficiency * constants.pool;
    case Kind::pointwise:
      return chip.efficiency * constants.pointwise;
  }
  return chip.efficiency;
}

/// Time of the arithmetic in ns.
double compute_ns(const Work& work, const Chip& chip, const Constants& constants) {
  if (work.flops == 0) return 0;
  const double tasks = tasks_of(work);
  const double at_work = tasks / std::ceil(tasks / chip.threads);  // cores, on average
  const double flops = work.winograd ? work.flops / constants.winograd : work.flops;
  const double rate = at_work * chip.ghz * chip.flops_per_cycle * efficiency_of(work, chip, constants);
  return flops / rate * chip.compute_factor;
}

/// Times in ns of what comes from the cores' own caches, from the shared one, and from memory.
std::array<double, 3> memory_ns(const Work& work, const Chip& chip, const Constants& constants) {
  const double bytes = work.activation_bytes;
  const double own = bytes > 0 ? std::min(1.0, kCacheShare * chip.l2_bytes * chip.threads / bytes) : 1.0;
  const double kept = bytes > 0 ? std::min(1.0, kCacheShare * chip.llc_bytes / bytes) : 1.0;
  const double shared = std::max(kept - own, 0.0);
  const double gb_s = std::min(chip.dram_gb_s * constants.dram_share, chip.threads * chip.core_dram_gb_s);
  const double cycles = chip.threads * chip.ghz;  // of all cores in a nanosecond
  const double from_memory = bytes * (1.0 - own - shared) + work.weight_bytes;  // weights are cold
  return {bytes * own / (cycles * constants.l2_bytes_per_cycle) * chip.memory_factor,
          bytes * shared / (cycles * constants.llc_bytes_per_cycle) * chip.memory_factor,
          from_memory / gb_s * chip.memory_factor};
}

Estimate estimate_checked(const Work& work, const Chip& chip, const Constants& constants) {
  const double compute = compute_ns(work, chip, constants);
  const auto [l2, llc, dram] = memory_ns(work, chip, constants);
  const double launch = 1e3 * (constants.op_us + (chip.threads > 1 ? chip.fork_us : 0.0));
  const double memory = l2 + llc + dram;
  const double most = std::max(compute, memory);
  // The fourth root of the sum of fourth powers: the larger of the two, and a little more where they are
  // alike.
  const double both =
      most > 0 ? most * std::sqrt(std::sqrt(std::pow(compute / most, 4) + std::pow(memory / most, 4))) : 0.0;
  Bound bound = Bound::compute;
  if (launch >= most) {
    bound = Bound::launch;
  } else if (memory > compute) {
    bound = dram >= std::max(l2, llc) ? Bound::dram : llc >= l2 ? Bound::llc : Bound::l2;
  }
  return {launch + both, bound};
}

}  // namespace

void require_possible(const Chip& chip, const Constants& constants) {
  require(chip.threads >= 1, "threads must be 1 or more");
  require_all({chip.ghz, chip.flops_per_cycle, chip.lanes, chip.efficiency, chip.dram_gb_s,
               chip.core_dram_gb_s, chip.compute_factor, chip.memory_factor},
              true, "rates of a chip must be positive");
  require_all({chip.l2_bytes, chip.llc_bytes, chip.fork_us}, false,
              "a chip's number is negative or not finite");
  require_all({constants.depthwise, constants.pool, constants.pointwise, constants.winograd,
               constants.l2_bytes_per_cycle, constants.llc_bytes_per_cycle, constants.dram_share},
              true, "constants that divide must be positive");
  require_all({constants.depth_half, constants.rows_half, constants.op_us}, false,
              "a constant is negative or not finite");
}

Estimate estimate(const Work& work, const Chip& chip, const Constants& constants) {
  require_possible(chip, constants);
  require_work(work);
  return estimate_checked(work, chip, constants);
}

std::vector<Estimate> estimate_all(std::span<const Work> works, const Chip& chip,
                                   const Constants& constants) {
  require_possible(chip, constants);
  std::vector<Estimate> estimates;
  estimates.reserve(works.size());
  for (const Work& work : works) {
    require_work(work);
    estimates.push_back(estimate_checked(work, chip, constants));
  }
  return estimates;
}

}  // namespace lutra::cpu_sim
