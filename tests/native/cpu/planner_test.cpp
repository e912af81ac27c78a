// The arena of the intermediates.

#include "cpu/planner.hpp"
#include "compare.hpp"
#include "cpu/tensor.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

bool overlap(int64_t a, int64_t a_end, int64_t b, int64_t b_end) { return a < b_end && b < a_end; }

void test_no_two_blocks_collide() {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::vector<Lifetime> blocks;
    int64_t total = 0;
    for (int64_t count = random.integer(0, 30); count > 0; --count) {
      const auto first = static_cast<size_t>(random.integer(0, 20));
      blocks.push_back({random.integer(1, 5000), first, first + static_cast<size_t>(random.integer(0, 5))});
      total += (blocks.back().bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    const ArenaLayout layout = plan_arena(blocks);
    CHECK(layout.bytes <= total);
    for (size_t a = 0; a < blocks.size(); ++a) {
      CHECK(layout.offsets[a] % kAlignment == 0);
      CHECK(layout.offsets[a] + blocks[a].bytes <= layout.bytes);
      for (size_t b = 0; b < a; ++b) {
        if (blocks[a].last < blocks[b].first || blocks[b].last < blocks[a].first) continue;
        CHECK(!overlap(layout.offsets[a], layout.offsets[a] + blocks[a].bytes, layout.offsets[b],
                       layout.offsets[b] + blocks[b].bytes));
      }
    }
  }
}

// In a chain only two neighbours live at a time, so two buffers suffice whatever its length.
void test_chain_needs_two_buffers() {
  std::vector<Lifetime> blocks;
  for (size_t i = 0; i < 50; ++i) blocks.push_back({1024, i, i + 1});
  CHECK(plan_arena(blocks).bytes == 2048);
}

}  // namespace

int main() {
  test_no_two_blocks_collide();
  test_chain_needs_two_buffers();
  return finish();
}
