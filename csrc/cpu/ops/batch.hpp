#pragma once

#include <cstdint>
#include <vector>

#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// All but the last two dimensions.
Shape leading(const Shape& shape);

/// Where each matrix of a batch, row by row, finds its `size` floats in an operand whose leading dimensions
/// `own` broadcast to `batch`. Fails where the batch is too large to list.
std::vector<int64_t> batch_offsets(const Step& step, const Shape& batch, const Shape& own, int64_t size);

}  // namespace lutra::cpu
