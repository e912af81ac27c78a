#include "gpu_sim/product.hpp"

#include <array>

namespace lutra::gpu_sim {

namespace {

constexpr std::array<double, 8> kSplits{2, 3, 4, 6, 8, 12, 16, 24};
constexpr double kLeastSplitK = 64;

/// Share of a multiprocessor's peak that so many warps keep busy.
double busy(double warps, double half) { return warps / std::sqrt(square(warps) + square(half)); }

/// Share of what blocks read that the L2 has lost before the blocks that need it too have come to it: those
/// that run together are apart by a share of k, and all that lies between would have to be kept of the
/// `columns` and `rows` of tiles that they cover; `depth` is the bytes of a whole k.
double lost_share(const Device& device, const ProductConstants& constants, const Tile& tile, double columns,
                  double rows, double depth) {
  const double together = std::min(device.sm_count * tile.residency, columns * rows);
  const double width = std::min(columns, together), height = std::clamp(together / columns, 1.0, rows);
  const double between = constants.drift * depth * (width * tile.a + height * tile.b);
  return between / (between + device.l2_bytes / device.l2_partitions);
}

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

// A thread loads 2 * sqrt(outputs) numbers by fours for `outputs` multiply-adds, with 14 instructions of
// loads, stores and addresses in eight steps. What a load takes follows from a GPU with 128 lanes that
// nothing here is scored on: cuBLAS reaches 29.17 of 35.48 TFLOPS on an RTX 4070 Ti, and 18.88 of 19.49 on an
// A100, whose 64 lanes wait for nothing (5120 x 4096 x 4096; github.com/Yinghan-Li/YHs_Sample/issues/4):
// 0.849 for 64 outputs. NVIDIA expects less still of an A10 at 150 W, 20 of 31.2
// (github.com/NVIDIA/cutlass/issues/941).
double issue_share(const Device& device, const Tile& tile) {
  constexpr double kLoadSlots = 2.4, kOthers = 14.0 / 8;
  if (!device.shared_issue) return 1;
  return tile.outputs / (tile.outputs + kLoadSlots * std::sqrt(tile.outputs) / 2 + kOthers);
}

double waves_ns(const Device& device, const ProductConstants& constants, const Tile& tile, double blocks,
                double cycles) {
  // The busiest multiprocessor runs `most` blocks, `residency` at once; the last ones are fewer and keep it
  // less busy.
  const double most = std::ceil(blocks / device.sm_count);
  const double last = std::fmod(most, tile.residency);
  double weighted = (most - last) / busy(tile.residency * tile.warps, constants.warps_half);
  if (last > 0) weighted += last / busy(last * tile.warps, constants.warps_half);
  return cycles * weighted / device.clock_ghz;
}

Parts product_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                    const Tile& tile, double split) {
  const double columns = std::ceil(shape.n / tile.a), rows = std::ceil(shape.m / tile.b);
  const double blocks = shape.batch * columns * rows * split;
  const double k = std::ceil(shape.k / split / constants.step) * constants.step;
  double rate = device.per_clock(dtype) / 2 * tile.efficiency;
  if (!device.tensor_cores(dtype)) rate *= issue_share(device, tile);
  const double cycles =
      tile.a * tile.b * ((k + constants.prologue_steps) / rate + constants.epilogue_cycles / 64);

  Parts parts;
  parts.compute = waves_ns(device, constants, tile, blocks, cycles);
  const double element = kBytes[static_cast<std::size_t>(dtype)];
  parts.l2_bytes = blocks * (tile.a + tile.b) * k * element;
  parts.dram_bytes = dram_bytes(device, constants, shape, columns, rows, tile.residency, split);
  if (constants.drift > 0)
    parts.dram_bytes +=
        tile.overfetch * parts.l2_bytes * lost_share(device, constants, tile, columns, rows, k * element);
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.dram_efficiency);
  parts.l2 = parts.l2_bytes / (constants.l2_bytes_per_clock * device.sm_count * device.clock_ghz);
  parts.serial = k * constants.step_latency_ns + (split > 1 ? constants.split_ns : 0);
  parts.flops = 2 * blocks * tile.a * tile.b * k;
  return parts;
}

Parts quickest_parts(const Device& device, const ProductConstants& constants, std::span<const Tile> tiles,
                     const Shape& shape, Dtype dtype, int split) {
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
  for (const Tile& tile : tiles) {
    if (split > 0) {
      consider(tile, split);
      continue;
    }
    const double blocks = shape.batch * std::ceil(shape.n / tile.a) * std::ceil(shape.m / tile.b);
    double before = consider(tile, 1);
    for (const double parts_of_k : kSplits) {
      if (shape.k < parts_of_k * kLeastSplitK || blocks * parts_of_k > 2 * device.sm_count * tile.residency)
        break;
      const double time = consider(tile, parts_of_k);
      if (time > before) break;  // more parts are not quicker again
      before = time;
    }
  }
  return best;
}

Parts chosen_parts(const Device& device, const ProductConstants& constants, const Shape& shape, Dtype dtype,
                   int tile, int split) {
  std::span<const Tile> tiles = constants.tiles;
  if (tile == 0)
    if (const Tree* tree = constants.selection.of(device.capability))
      tile = tree->ask({std::log2(shape.batch), std::log2(shape.m), std::log2(shape.n), std::log2(shape.k),
                        std::log2(shape.batch * shape.m * shape.n / (128 * 128 * device.sm_count)),
                        std::fmod(shape.k, 32) == 0 ? 1.0 : 0.0});
  if (tile > 0) tiles = tiles.subspan(static_cast<std::size_t>(tile - 1), 1);
  return quickest_parts(device, constants, tiles, shape, dtype, split);
}

}  // namespace lutra::gpu_sim
