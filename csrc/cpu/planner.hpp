#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutra::cpu {

/// Memory that is needed from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes = 0;
  size_t first = 0;
  size_t last = 0;
};

struct ArenaLayout {
  std::vector<int64_t> offsets;  ///< one per lifetime, in bytes, aligned to `kAlignment`
  int64_t bytes = 0;             ///< of the whole arena
};

/// Places blocks in one arena so that blocks whose lifetimes overlap do not: largest first, each at the
/// lowest address that is free (the "greedy by size" of Pisarchyk and Lee, "Efficient Memory Management for
/// Deep Neural Net Inference", 2020).
ArenaLayout plan_arena(const std::vector<Lifetime>& blocks);

}  // namespace lutra::cpu
