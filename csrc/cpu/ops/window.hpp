#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/stage.hpp"
#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// Pixels that a kernel of `size` taps spans.
constexpr int64_t kernel_extent(int64_t size, int64_t dilation) { return (size - 1) * dilation + 1; }

/// Fails unless every value is at least `least`.
void expect_at_least(const Step& step, const std::vector<int64_t>& values, int64_t least, const char* name);

/// Fails where the padded form of `planes` images would be larger than a tensor may be.
void expect_stageable(const Step& step, const Window2d& window, int64_t planes);

}  // namespace lutra::cpu
