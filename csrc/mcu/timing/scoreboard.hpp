#pragma once

#include <cstdint>

namespace lutra::mcu {

/// The registers that an instruction reads, as masks, by the pipeline stage that needs them.
struct Reads {
  uint32_t normal = 0;   ///< in the stage of the arithmetic unit
  uint32_t early = 0;    ///< a stage before it: addresses, operands of the shifter
  uint32_t late = 0;     ///< a stage behind it: accumulators
  uint32_t guarded = 0;  ///< those of them that cannot take a loaded word from the load unit's fast path
};

/// When the results of issued instructions can be read: an in-order pipeline's interlocks.
///
/// A result of latency n, issued now, can be read by a normal operand of an instruction that issues n cycles
/// from now, by an early one a cycle after that, and by a late one a cycle before. All registers are judged
/// at once: for each number of cycles there is the mask of the registers whose results are still at least
/// that far away.
class Scoreboard {
 public:
  static constexpr uint32_t kMaxLatency = 3;

  /// Cycles until an instruction with these operands can issue.
  uint32_t wait(const Reads& reads) const {
    const uint32_t one = (reads.early & due_[0]) | (reads.normal & due_[1]) | (reads.late & due_[2]) |
                         (reads.guarded & word_[0]);
    if (one == 0) [[likely]]
      return 0;
    const uint32_t two = (reads.early & due_[1]) | (reads.normal & due_[2]) | (reads.late & due_[3]) |
                         (reads.guarded & word_[1]);
    if (two == 0) return 1;
    const uint32_t three = (reads.early & due_[2]) | (reads.normal & due_[3]);
    if (three == 0) return 2;
    return (reads.early & due_[3]) == 0 ? 3 : 4;
  }

  /// Whether all registers of the mask could be read by early operands now.
  bool ready_early(uint32_t registers) const { return (registers & due_[0]) == 0; }

  /// Results of `registers` come after `latency` cycles, at most kMaxLatency.
  void write(uint32_t registers, uint32_t latency) {
    for (uint32_t cycles = 0; cycles <= kMaxLatency; ++cycles)
      due_[cycles] = (due_[cycles] & ~registers) | (cycles <= latency ? registers : 0);
    word_[0] &= ~registers;
    word_[1] &= ~registers;
  }

  /// As `write` with a latency of one, of words on the load unit's fast path.
  void write_loaded_words(uint32_t registers) {
    write(registers, 1);
    word_[0] |= registers;
    word_[1] |= registers;
  }

  /// Lets cycles pass.
  void advance(uint64_t cycles) {
    if (cycles == 1) [[likely]] {
      for (uint32_t i = 0; i < kMaxLatency; ++i) due_[i] = due_[i + 1];
      due_[kMaxLatency] = 0;
      word_[0] = word_[1];
      word_[1] = 0;
      return;
    }
    for (cycles = cycles > kMaxLatency ? kMaxLatency + 1 : cycles; cycles > 0; --cycles) advance(1);
  }

 private:
  uint32_t due_[kMaxLatency + 1] = {};  ///< [n]: results that can be read in n cycles or later
  uint32_t word_[2] = {};               ///< those of them that are loaded words
};

}  // namespace lutra::mcu
