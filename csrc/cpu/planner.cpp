#include "cpu/planner.hpp"

#include <algorithm>
#include <numeric>

#include "cpu/tensor.hpp"

namespace lutra::cpu {

namespace {

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool overlap(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

ArenaLayout plan_arena(const std::vector<Lifetime>& blocks) {
  ArenaLayout layout;
  layout.offsets.assign(blocks.size(), 0);
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });

  std::vector<size_t> placed;  // by address
  for (const size_t block : order) {
    int64_t offset = 0;
    for (const size_t other : placed) {
      if (!overlap(blocks[block], blocks[other])) continue;
      if (offset + blocks[block].bytes <= layout.offsets[other]) break;  // fits into the gap before it
      offset = std::max(offset, layout.offsets[other] + aligned(blocks[other].bytes));
    }
    layout.offsets[block] = offset;
    layout.bytes = std::max(layout.bytes, offset + aligned(blocks[block].bytes));
    const auto place = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [&](int64_t at, size_t other) { return at < layout.offsets[other]; });
    placed.insert(place, block);
  }
  return layout;
}

}  // namespace lutra::cpu
