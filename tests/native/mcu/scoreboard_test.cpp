#include "mcu/timing/scoreboard.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>

#include "check.hpp"

using lutra::mcu::Reads;
using lutra::mcu::Scoreboard;

namespace {

constexpr std::uint32_t kRegisters = 17;

/// The obvious scoreboard: for each register the time at which a normal operand can read it.
class TimeBoard {
 public:
  [[nodiscard]] std::uint32_t wait(const Reads& reads) const {
    std::int64_t need = now_;
    for (std::uint32_t r = 0; r < kRegisters; ++r) {
      const std::uint32_t bit = 1U << r;
      if ((reads.normal & bit) != 0) need = std::max(need, ready_[r]);
      if ((reads.early & bit) != 0) need = std::max(need, ready_[r] + 1);
      if ((reads.late & bit) != 0) need = std::max(need, ready_[r] - 1);
      if ((reads.guarded & bit) != 0 && loaded_[r]) need = std::max(need, ready_[r] + 1);
    }
    return static_cast<std::uint32_t>(need - now_);
  }

  void write(std::uint32_t registers, std::uint32_t latency, bool loaded) {
    for (std::uint32_t r = 0; r < kRegisters; ++r) {
      if ((registers >> r & 1U) == 0) continue;
      ready_[r] = now_ + latency;
      loaded_[r] = loaded;
    }
  }

  void advance(std::uint32_t cycles) { now_ += cycles; }

 private:
  std::int64_t now_ = 100;
  std::array<std::int64_t, kRegisters> ready_{};
  std::array<bool, kRegisters> loaded_{};
};

void an_addition_feeds_the_next_cycle() {
  Scoreboard board;
  board.write(1U << 3, 1);
  CHECK(board.wait({.normal = 1U << 3}) == 1);
  CHECK(board.wait({.early = 1U << 3}) == 2);
  CHECK(board.wait({.late = 1U << 3}) == 0);
  CHECK(board.wait({.normal = 1U << 4}) == 0);
}

void a_loaded_word_misses_the_guarded() {
  Scoreboard board;
  board.write_loaded_words(1U << 3);
  board.advance(1);
  CHECK(board.wait({.normal = 1U << 3}) == 0);
  CHECK(board.wait({.normal = 1U << 3, .guarded = 1U << 3}) == 1);
}

void agrees_with_times() {
  std::mt19937 random(11);
  Scoreboard board;
  TimeBoard times;
  const auto some = [&random] {
    return static_cast<std::uint32_t>(random() & random() & random() & 0x1ffffU);
  };
  bool same = true;
  for (int i = 0; i < 200000; ++i) {
    const Reads reads{some(), some(), some(), some()};
    // A guarded operand is also a normal or an early one.
    const Reads sound{reads.normal | reads.guarded, reads.early, reads.late, reads.guarded};
    same = same && board.wait(sound) == times.wait(sound);
    const std::uint32_t results = some();
    const auto latency = static_cast<std::uint32_t>(random() % 4);
    if (random() % 3 == 0) {
      board.write_loaded_words(results);
      times.write(results, 1, true);
    } else {
      board.write(results, latency);
      times.write(results, latency, false);
    }
    const auto cycles = static_cast<std::uint32_t>(random() % 6);
    board.advance(cycles);
    times.advance(cycles);
  }
  CHECK(same);
}

}  // namespace

int main() {
  an_addition_feeds_the_next_cycle();
  a_loaded_word_misses_the_guarded();
  agrees_with_times();
  return lutra::check::finish();
}
