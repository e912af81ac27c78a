#include "mcu/timing/line_cache.hpp"

#include <algorithm>
#include <deque>
#include <random>

#include "check.hpp"

using namespace lutra::mcu;

namespace {

/// The obvious cache: lines from the oldest to the newest.
class Reference {
 public:
  explicit Reference(size_t capacity) : capacity_(capacity) {}

  bool access(uint32_t line) {
    const auto found = std::find(lines_.begin(), lines_.end(), line);
    const bool hit = found != lines_.end();
    if (hit) lines_.erase(found);
    lines_.push_back(line);
    if (lines_.size() > capacity_) lines_.pop_front();
    return hit;
  }

 private:
  size_t capacity_;
  std::deque<uint32_t> lines_;
};

void evicts_the_least_recently_used() {
  LineCache cache(100, 2);
  CHECK(!cache.access(1) && !cache.access(2));
  CHECK(cache.access(1));
  CHECK(!cache.access(3));  // in the place of 2
  CHECK(cache.access(1) && !cache.access(2));
}

void agrees_with_the_obvious_one() {
  std::mt19937 generator(1);
  for (const uint32_t capacity : {1U, 2U, 3U, 8U, 64U}) {
    constexpr uint32_t kLines = 40;
    LineCache cache(kLines, capacity);
    for (int round = 0; round < 3; ++round) {
      Reference reference(capacity);
      bool agree = true;
      for (int i = 0; i < 2000; ++i) {
        const auto line = static_cast<uint32_t>(generator() % kLines);
        agree = agree && cache.access(line) == reference.access(line);
      }
      CHECK(agree);
      cache.clear();
    }
  }
}

void nothing_is_held_without_capacity() {
  LineCache cache(10, 0);
  CHECK(!cache.access(5) && !cache.access(5));
}

}  // namespace

int main() {
  evicts_the_least_recently_used();
  agrees_with_the_obvious_one();
  nothing_is_held_without_capacity();
  return lutra::check::finish();
}
