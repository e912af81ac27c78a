#pragma once

#include "gpu_sim/constants.hpp"
#include "gpu_sim/device.hpp"
#include "gpu_sim/parts.hpp"

namespace lutra::gpu_sim {

/// A kernel that reads and writes each byte once; `outputs` results of `inputs` elements each.
Parts stream_parts(const Device& device, const StreamConstants& constants, double bytes, double outputs,
                   double inputs);

/// A kernel that reduces `rows` of `width` elements and then writes them.
Parts row_parts(const Device& device, const RowConstants& constants, double rows, double width,
                double element_bytes);

}  // namespace lutra::gpu_sim
