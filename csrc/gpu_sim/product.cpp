#include "gpu_sim/product.hpp"

#include <array>

namespace lutra::gpu_sim {

namespace {

constexpr std::array<double, 8> kSplits{2, 3, 4, 6, 8, 12, 16, 24};
constexpr double kLeastSplitK = 64;

/// Share of a multiprocessor's peak that so many warps keep busy.
double busy(double warps, double half) { return warps / std::sqrt(square(warps) + square(half)); }

/// Where multiply-adds and other instructions share the issue slots (Device::shared_issue): the share that is
/// left for multiply-adds when a thread loads 2 * sqrt(outputs) numbers by fours for `outputs` of them, with
/// 14 instructions of loads, stores and addresses in eight steps.
double issue_share(double outputs) { return outputs / (outputs + std::sqrt(outputs) / 2 + 14.0 / 8); }

/// Bytes that a product moves from and to DRAM. Blocks run row by row: those that run together cover `height`
/// rows of tiles, the right operand is read again for the next rows, but for what the L2 kept of it.
double dram_bytes(const Device& device, const ProductConstants& constants, const Shape& shape, double columns,
                  double rows, double residency, double split) {
  const double together = std::min(device.sm_count * residency, columns * rows);
  const double height = std::clamp(together / columns, 1.0, rows);
  const double missed =
      std::clamp(1 - constants.retained_share * device.l2_bytes / shape.right_bytes, 0.0, 1.0);
  const double out = shape.out_bytes * (split > 1 ? 2 : 1);
  const double right = shape.right_bytes * (1 + (rows / height - 1) * missed);
  const double all = shape.batch * (shape.left_bytes + right + out);
  const double footprint = shape.batch * (shape.left_bytes + shape.right_bytes + shape.out_bytes);
  // Copies that fit into the L2 together are found there, those that take twice as much never are (least
  // recently used).
  const double filled =
      constants.host.copies * footprint / (constants.warm_share * device.l2_bytes / device.l2_partitions);
  return all - footprint * std::clamp(2 - filled, 0.0, 1.0);
}

}  // namespace

Shape shape_of(const Product& product, Dtype dtype) {
  const double bytes = kBytes[static_cast<std::size_t>(dtype)];
  return {product.batch,
          product.m,
          product.n,
          product.k,
          product.m * product.k * bytes,
          product.k * product.n * bytes,
          product.m * product.n * bytes};
}

Parts product_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                    const Tile& tile, double split) {
  const double columns = std::ceil(shape.n / tile.a), rows = std::ceil(shape.m / tile.b);
  const double blocks = shape.batch * columns * rows * split;
  const double k = std::ceil(shape.k / split / constants.step) * constants.step;
  double rate = device.per_clock(dtype) / 2 * tile.efficiency;
  if (device.shared_issue && !device.tensor_cores(dtype)) rate *= issue_share(tile.outputs);
  const double cycles =
      tile.a * tile.b * ((k + constants.prologue_steps) / rate + constants.epilogue_cycles / 64);
  // The busiest multiprocessor runs `most` blocks, `residency` at once; the last ones are fewer and keep it
  // less busy.
  const double most = std::ceil(blocks / device.sm_count);
  const double last = std::fmod(most, tile.residency);
  double weighted = (most - last) / busy(tile.residency * tile.warps, constants.warps_half);
  if (last > 0) weighted += last / busy(last * tile.warps, constants.warps_half);

  Parts parts;
  parts.compute = cycles * weighted / device.clock_ghz;
  parts.dram_bytes = dram_bytes(device, constants, shape, columns, rows, tile.residency, split);
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.dram_efficiency);
  parts.l2_bytes = blocks * (tile.a + tile.b) * k * kBytes[static_cast<std::size_t>(dtype)];
  parts.l2 = parts.l2_bytes / (constants.l2_bytes_per_clock * device.sm_count * device.clock_ghz);
  parts.serial = k * constants.step_latency_ns + (split > 1 ? constants.split_ns : 0);
  parts.flops = 2 * blocks * tile.a * tile.b * k;
  return parts;
}

Parts chosen_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                   int tile, int split) {
  const auto& tiles = constants.tiles;
  std::size_t first = 0, end = tiles.size();
  if (tile == 0)
    if (const Tree* tree = constants.selection.of(device.capability))
      tile = tree->ask({std::log2(shape.batch), std::log2(shape.m), std::log2(shape.n), std::log2(shape.k),
                        std::log2(shape.batch * shape.m * shape.n / (128 * 128 * device.sm_count))});
  if (tile > 0) {
    first = static_cast<std::size_t>(tile - 1);
    end = first + 1;
  }
  Parts best;
  double least = -1;
  const auto consider = [&](const Tile& candidate, double parts_of_k) {
    const Parts parts = product_parts(device, constants, shape, dtype, candidate, parts_of_k);
    const double time = kernel_ns(parts);
    if (least < 0 || time < least) {
      best = parts;
      least = time;
    }
    return time;
  };
  for (std::size_t i = first; i < end; ++i) {
    if (split > 0) {
      consider(tiles[i], split);
      continue;
    }
    const double blocks = shape.batch * std::ceil(shape.n / tiles[i].a) * std::ceil(shape.m / tiles[i].b);
    double before = consider(tiles[i], 1);
    for (const double parts_of_k : kSplits) {
      if (shape.k < parts_of_k * kLeastSplitK ||
          blocks * parts_of_k > 2 * device.sm_count * tiles[i].residency)
        break;
      const double time = consider(tiles[i], parts_of_k);
      if (time > before) break;  // more parts are not quicker again
      before = time;
    }
  }
  return best;
}

}  // namespace lutra::gpu_sim
