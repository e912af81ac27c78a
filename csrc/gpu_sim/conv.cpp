#include "gpu_sim/conv.hpp"

#include <array>
#include <cmath>
#include <initializer_list>

#include "gpu_sim/product.hpp"

namespace lutra::gpu_sim {

namespace {

constexpr double kDirectChannels = 4;  // a group with fewer gives no matrix product worth the name

constexpr int kWhole = 1;  // plain lanes: cuDNN does not split k, as the grids of its kernels show

struct Bytes {
  double input, weights, output;
  double all() const { return input + weights + output; }
};

Bytes bytes_of(const Conv& conv, Dtype dtype) {
  const double bytes = kBytes[static_cast<std::size_t>(dtype)];
  return {conv.batch * conv.channels * conv.height * conv.width * bytes,
          conv.filters * conv.channels / conv.groups * conv.kernel_h * conv.kernel_w * bytes,
          conv.batch * conv.filters * conv.out_height * conv.out_width * bytes};
}

Parts implicit_product(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  const Bytes bytes = bytes_of(conv, dtype);
  const Shape shape{conv.groups,
                    conv.batch * conv.out_height * conv.out_width,
                    conv.filters / conv.groups,
                    conv.channels / conv.groups * conv.kernel_h * conv.kernel_w,
                    bytes.input / conv.groups,
                    bytes.weights / conv.groups,
                    bytes.output / conv.groups};
  return quickest_parts(device, constants.product, constants.product.tiles, shape, dtype,
                        device.tensor_cores(dtype) ? 0 : kWhole);
}

Parts direct(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  Parts parts;
  const double outputs = conv.batch * conv.filters * conv.out_height * conv.out_width;
  parts.flops = 2 * outputs * conv.channels / conv.groups * conv.kernel_h * conv.kernel_w;
  // Tensor cores do not help: half formats run at the rate of fp32 at least.
  const double peak = device.peak[static_cast<std::size_t>(Dtype::kFp32)];
  parts.compute = parts.flops / (peak * constants.depthwise_efficiency);
  parts.dram_bytes = bytes_of(conv, dtype).all();
  parts.dram = parts.dram_bytes / (device.bandwidth * constants.depthwise_bandwidth);
  return parts;
}

/// Batched products over the (edge + 2)^2 positions of transformed tiles, with the transforms as kernels of
/// their own.
Parts winograd(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  constexpr double kEdge = 4, kPositions = (kEdge + 2) * (kEdge + 2);
  constexpr double kImages = 16;  // cuDNN fills the batch up to a multiple, as the grids of its products show
  const double element = kBytes[static_cast<std::size_t>(dtype)];
  const double tiles = std::ceil(conv.batch / kImages) * kImages * std::ceil(conv.out_height / kEdge) *
                       std::ceil(conv.out_width / kEdge);
  const Shape shape{kPositions,
                    tiles,
                    conv.filters,
                    conv.channels,
                    tiles * conv.channels * element,
                    conv.channels * conv.filters * element,
                    tiles * conv.filters * element};
  Parts parts = quickest_parts(device, constants.product, constants.winograd_tiles, shape, dtype, kWhole);
  const Bytes bytes = bytes_of(conv, dtype);
  const double transformed =
      bytes.all() + kPositions * (shape.left_bytes + shape.right_bytes + shape.out_bytes);
  parts.serial += transformed / (device.bandwidth * constants.winograd_bandwidth) + constants.winograd_ns;
  parts.dram_bytes += transformed;
  return parts;
}

/// What a block of the fused kernel computes: 32 filters of 32 tiles of 2 x 2 results, of so many images,
/// rows and columns of tiles (cuDNN's kernels are named by them: tile148, ...).
struct Arrangement {
  double images, rows, columns;
};
constexpr std::array<Arrangement, 6> kArrangements{
    {{1, 4, 8}, {2, 4, 4}, {2, 2, 8}, {4, 2, 4}, {4, 1, 8}, {4, 4, 2}}};
constexpr Tile kFusedBlock{32, 128, 8, 2, 64, 1, 1};

/// F(2x2, 3x3) in one kernel, after one that transforms the weights. Libraries have all arrangements for GPUs
/// before Volta, and the first for later ones.
Parts fused_winograd(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  constexpr double kEdge = 2, kPositions = (kEdge + 2) * (kEdge + 2), kFilters = 32, kTiles = 32;
  const ProductConstants& product = constants.product;
  double groups = -1;
  Arrangement chosen = kArrangements[0];
  for (const Arrangement& arrangement : kArrangements) {
    const double count = std::ceil(conv.batch / arrangement.images) *
                         std::ceil(conv.out_height / (kEdge * arrangement.rows)) *
                         std::ceil(conv.out_width / (kEdge * arrangement.columns));
    if (groups < 0 || count < groups) {
      groups = count;
      chosen = arrangement;
    }
    if (device.capability >= 7.0) break;
  }
  const double element = kBytes[static_cast<std::size_t>(dtype)];
  const double blocks = groups * std::ceil(conv.filters / kFilters);
  const double k = std::ceil(conv.channels / product.step) * product.step;
  const double rate =
      device.per_clock(dtype) / 2 * constants.fused_winograd_efficiency * issue_share(device, kFusedBlock);
  const double cycles =
      kFilters * kTiles *
      (kPositions * (k + product.prologue_steps) / rate + kEdge * kEdge * product.epilogue_cycles / 64);
  const double pixels = chosen.images * (kEdge * chosen.rows + 2) * (kEdge * chosen.columns + 2);
  const Bytes bytes = bytes_of(conv, dtype);
  const double transformed = bytes.weights * (1 + kPositions / 9);

  Parts parts;
  parts.compute = waves_ns(device, product, kFusedBlock, blocks, cycles);
  parts.flops = 2 * blocks * kFilters * kTiles * kPositions * k;
  parts.l2_bytes = blocks * k * (pixels + kPositions * kFilters) * element;
  parts.l2 = parts.l2_bytes / (product.l2_bytes_per_clock * device.sm_count * device.clock_ghz);
  parts.dram_bytes = bytes.all() + transformed;
  parts.dram = bytes.all() / (device.bandwidth * product.dram_efficiency);
  parts.serial = transformed / (device.bandwidth * constants.winograd_bandwidth);
  return parts;
}

}  // namespace

Parts conv_parts(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  if (conv.channels / conv.groups < kDirectChannels && conv.groups > 1)
    return direct(device, constants, conv, dtype);
  Parts best = implicit_product(device, constants, conv, dtype);
  const bool three = conv.kernel_h == 3 && conv.kernel_w == 3 && conv.stride_h == 1 && conv.stride_w == 1 &&
                     conv.dilation_h == 1 && conv.dilation_w == 1 && conv.groups == 1;
  if (!three || device.tensor_cores(dtype)) return best;
  for (const Parts& other :
       {winograd(device, constants, conv, dtype), fused_winograd(device, constants, conv, dtype)})
    if (kernel_ns(other) < kernel_ns(best)) best = other;
  return best;
}

}  // namespace lutra::gpu_sim
