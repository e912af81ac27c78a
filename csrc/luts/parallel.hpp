#pragma once

#include <cstddef>
#include <functional>

namespace lutra::luts {

/// Runs `work(first, count)` over [0, total) in up to `threads` contiguous parts, all but the last of them a
/// multiple of `grain`; the caller's thread does one of them. What the earliest part throws is thrown again,
/// after all ended.
void in_parallel(std::size_t total, std::size_t grain, std::size_t threads,
                 const std::function<void(std::size_t first, std::size_t count)>& work);

}  // namespace lutra::luts
