#pragma once

#include <bit>
#include <cstdint>

#include "mcu/board.hpp"
#include "mcu/timing/line_cache.hpp"

// Waiting for flash memory behind line buffers, as ST's "ART accelerator" and its relatives have them: the
// core waits the wait states for each read that no buffer holds ("Adaptive real-time memory accelerator" in
// the STM32 reference manuals, for example RM0390 section 3.4).
namespace lutra::mcu {

/// The instruction side.
class FlashFetch {
 public:
  explicit FlashFetch(const FlashBoard& flash)
      : base_(flash.base),
        shift_(static_cast<uint32_t>(std::countr_zero(flash.line_bytes))),
        line_count_(flash.size >> shift_),
        wait_states_(flash.wait_states),
        prefetches_(flash.prefetch),
        lines_(wait_states_ > 0 ? line_count_ : 0, wait_states_ > 0 ? flash.i_lines : 0) {}

  /// Cycles that the instruction of `bytes` bytes at `pc` comes later than asked for at cycle `now`.
  uint64_t wait(uint32_t pc, uint32_t bytes, uint64_t now) {
    const uint32_t offset = pc - base_;
    const uint32_t first = offset >> shift_;
    const uint32_t last = (offset + bytes - 1) >> shift_;
    if (first == current_ && last == first) [[likely]]
      return 0;
    uint64_t cycles = first == current_ ? 0 : enter(first, now);
    if (last != first) cycles += enter(last, now + cycles);
    return cycles;
  }

  void reset() {
    lines_.clear();
    current_ = kNoLine;
    entered_at_ = 0;
  }

 private:
  static constexpr uint32_t kNoLine = 0xFFFFFFFE;  // has no successor among the lines

  uint64_t enter(uint32_t line, uint64_t now) {
    const bool sequential = line == current_ + 1;
    current_ = line;
    if (wait_states_ == 0 || line >= line_count_) return 0;  // no waiting, or code in RAM
    uint64_t cycles = 0;
    if (!lines_.access(line)) {
      cycles = wait_states_;
      if (prefetches_ && sequential) {
        // The read began when the line before was entered, and takes wait_states_ + 1 cycles.
        const uint64_t elapsed = now - entered_at_;
        cycles = elapsed > wait_states_ ? 0 : wait_states_ + 1 - elapsed;
      }
    }
    entered_at_ = now + cycles;
    return cycles;
  }

  uint32_t base_;
  uint32_t shift_;
  uint32_t line_count_;
  uint32_t wait_states_;
  bool prefetches_;
  LineCache lines_;
  uint32_t current_ = kNoLine;
  uint64_t entered_at_ = 0;
};

/// The data side: literals, weights and tables.
class FlashData {
 public:
  explicit FlashData(const FlashBoard& flash)
      : base_(flash.base),
        size_(flash.size),
        shift_(static_cast<uint32_t>(std::countr_zero(flash.line_bytes))),
        miss_cycles_(flash.wait_states + flash.d_extra),
        lines_(miss_cycles_ > 0 ? size_ >> shift_ : 0, miss_cycles_ > 0 ? flash.d_lines : 0) {}

  /// Cycles that a load of `bytes` bytes waits; 0 outside flash.
  uint64_t wait(uint32_t address, uint32_t bytes) {
    const uint32_t offset = address - base_;
    if (offset >= size_ || miss_cycles_ == 0) [[likely]]
      return 0;
    uint64_t cycles = 0;
    const uint32_t last = (offset + bytes - 1) >> shift_;
    for (uint32_t line = offset >> shift_; line <= last; ++line)
      if (!lines_.access(line)) cycles += miss_cycles_;
    return cycles;
  }

  void reset() { lines_.clear(); }

 private:
  uint32_t base_;
  uint32_t size_;
  uint32_t shift_;
  uint32_t miss_cycles_;
  LineCache lines_;
};

}  // namespace lutra::mcu
