#include "luts/parallel.hpp"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

namespace lutra::luts {

void in_parallel(std::size_t total, std::size_t grain, std::size_t threads,
                 const std::function<void(std::size_t first, std::size_t count)>& work) {
  const std::size_t grains = (total + grain - 1) / grain;
  const std::size_t parts = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(grains, 1));
  const std::size_t share = (grains + parts - 1) / parts * grain;
  std::vector<std::exception_ptr> failures(parts);
  const auto run = [&](std::size_t part) {
    try {
      const std::size_t first = std::min(part * share, total);
      work(first, std::min(share, total - first));
    } catch (...) {
      failures[part] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    others.reserve(parts - 1);
    for (std::size_t part = 1; part < parts; ++part) others.emplace_back(run, part);
    run(0);
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace lutra::luts
