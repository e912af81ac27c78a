#include "gpu_sim/conv.hpp"

#include <cmath>
#include <initializer_list>

#include "gpu_sim/product.hpp"

namespace lutra::gpu_sim {

namespace {

constexpr double kDirectChannels = 4;  // a group with fewer gives no matrix product worth the name

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
  return chosen_parts(device, constants.product, shape, dtype);
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
  const double element = kBytes[static_cast<std::size_t>(dtype)];
  const double tiles = conv.batch * std::ceil(conv.out_height / kEdge) * std::ceil(conv.out_width / kEdge);
  const Shape shape{kPositions,
                    tiles,
                    conv.filters,
                    conv.channels,
                    tiles * conv.channels * element,
                    conv.channels * conv.filters * element,
                    tiles * conv.filters * element};
  Parts parts = chosen_parts(device, constants.product, shape, dtype);
  parts.compute /= constants.winograd_efficiency;
  const Bytes bytes = bytes_of(conv, dtype);
  const double transformed =
      bytes.all() + kPositions * (shape.left_bytes + shape.right_bytes + shape.out_bytes);
  parts.serial += transformed / (device.bandwidth * constants.winograd_bandwidth) + constants.winograd_ns;
  parts.dram_bytes += transformed;
  return parts;
}

Parts fused_winograd(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype) {
  constexpr double kEdge = 2, kSaved = 2.25;  // 36 multiplications become 16
  Conv padded = conv;
  padded.out_height = std::ceil(conv.out_height / kEdge) * kEdge;
  padded.out_width = std::ceil(conv.out_width / kEdge) * kEdge;
  Parts parts = implicit_product(device, constants, padded, dtype);
  parts.compute /= kSaved * constants.fused_winograd_efficiency;
  parts.l2 /= kSaved;
  parts.flops /= kSaved;
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
