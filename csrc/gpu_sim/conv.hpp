#pragma once

#include "gpu_sim/constants.hpp"
#include "gpu_sim/op.hpp"
#include "gpu_sim/parts.hpp"

namespace lutra::gpu_sim {

/// Parts of the quickest of the ways that libraries have: implicit matrix product, Winograd F(4x4, 3x3) in
/// several kernels, F(2x2, 3x3) in one (Lavin and Gray, 2015), direct where each group has few channels.
Parts conv_parts(const Device& device, const ConvConstants& constants, const Conv& conv, Dtype dtype);

}  // namespace lutra::gpu_sim
