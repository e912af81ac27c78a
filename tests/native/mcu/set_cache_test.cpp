#include "mcu/timing/set_cache.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using lutra::mcu::SetCache;

namespace {

void refuses_impossible_shapes() {
  CHECK_THROWS(std::invalid_argument, SetCache(4096, 3, 32));
  CHECK_THROWS(std::invalid_argument, SetCache(4096, 4, 24));
  CHECK_THROWS(std::invalid_argument, SetCache(4096, 0, 32));
  CHECK_THROWS(std::invalid_argument, SetCache(100, 2, 32));
}

void holds_nothing_without_bytes() {
  SetCache none(0, 0, 32);
  CHECK(!none.present());
  CHECK(!none.access(64));
  CHECK(!none.access(64));
}

void holds_lines_not_words() {
  SetCache cache(4096, 4, 32);
  CHECK(!cache.access(0x20000000));
  CHECK(cache.access(0x2000001f));
  CHECK(!cache.access(0x20000020));
  cache.clear();
  CHECK(!cache.access(0x20000000));
}

void replaces_the_least_recent_line_of_a_set() {
  SetCache cache(4096, 4, 32);  // lines 1024 bytes apart share a set
  for (std::uint32_t i = 0; i < 4; ++i) cache.access(i * 1024);
  CHECK(cache.access(0));      // now the most recent
  CHECK(!cache.access(4096));  // takes the place of 1024
  CHECK(cache.access(0));
  CHECK(cache.access(2048));
  CHECK(!cache.access(1024));
}

/// The obvious cache: a list of lines for each set, most recent first.
class ListCache {
 public:
  ListCache(std::uint32_t sets, std::uint32_t ways, std::uint32_t line)
      : sets_(sets), ways_(ways), line_(line) {}

  bool access(std::uint32_t address) {
    const std::uint32_t line = address / line_;
    std::vector<std::uint32_t>& set = sets_[line % sets_.size()];
    const auto found = std::find(set.begin(), set.end(), line);
    const bool held = found != set.end();
    if (held) set.erase(found);
    set.insert(set.begin(), line);
    if (set.size() > ways_) set.pop_back();
    return held;
  }

 private:
  std::vector<std::vector<std::uint32_t>> sets_;
  std::uint32_t ways_;
  std::uint32_t line_;
};

void agrees_with_lists() {
  std::mt19937 random(5);
  for (const std::uint32_t ways : {1U, 2U, 4U, 8U}) {
    SetCache cache(ways * 16 * 32, ways, 32);
    ListCache lists(16, ways, 32);
    bool same = true;
    for (int i = 0; i < 20000; ++i) {
      const auto address = static_cast<std::uint32_t>(random() % (ways * 16 * 32 * 3));
      same = same && cache.access(address) == lists.access(address);
    }
    CHECK(same);
  }
}

}  // namespace

int main() {
  refuses_impossible_shapes();
  holds_nothing_without_bytes();
  holds_lines_not_words();
  replaces_the_least_recent_line_of_a_set();
  agrees_with_lists();
  return lutra::check::finish();
}
