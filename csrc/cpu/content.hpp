#pragma once

#include <cstdint>
#include <string_view>

#include "cpu/program_spec.hpp"

namespace lutra::cpu {

/// Fills a tensor with random numbers that depend on nothing but (seed, name, copy): any copy's weights can
/// be made again at any time.
///
/// Inputs are uniform in [-1, 1). Constants of rank >= 2 are uniform with variance 1 / fan-in, so that
/// activations keep their size through a deep network; those of rank 0 and 1 are uniform in [0.5, 1.5):
/// scales and variances must not be negative. int64 is uniform in [0, id_limit), uint8 in [0, 255], int8 in
/// [-127, 127] and int32 in [-1024, 1024).
void fill_random(const TensorSpec& spec, uint64_t seed, int64_t copy, int64_t id_limit, void* data);

}  // namespace lutra::cpu
