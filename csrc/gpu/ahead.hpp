#pragma once

#include <span>
#include <string>
#include <vector>

namespace lutra::gpu {

/// Machine code of our kernels for all of `ahead_architectures`, compiled when Lutra was built (csrc/cuda):
/// by `LUTRA_ELEMENT`, and -1 for the protocol's own kernels. Empty where nothing was.
std::span<const char> ahead_image(int key);

/// Version of the nvcc that compiled them: "13.0"; "" where nothing was.
std::string ahead_compiler();

/// Architectures that they were compiled for: 80, 90.
std::vector<int> ahead_architectures();

/// Whether they run on a GPU under a driver. Code runs on the generation it was made for, from the version it
/// was made for on, under drivers of its CUDA's major version or later.
/// @param architecture 90 for compute capability 9.0. @param cuda_version of the driver: 13000 for 13.0.
bool ahead_runs(int architecture, int cuda_version);

}  // namespace lutra::gpu
