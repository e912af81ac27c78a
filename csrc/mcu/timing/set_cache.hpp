#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace lutra::mcu {

/// Which lines of memory a set-associative cache holds; the data stays in memory, since only time is asked
/// for.
///
/// Lines are replaced in least-recently-used order. That stands for the silicon's own order, which its
/// manuals do not give; for the streams that kernels read the two differ little.
class SetCache {
 public:
  /// `ways` lines of `line_bytes` in each set; 0 bytes is a cache that holds nothing.
  /// @throws std::invalid_argument where that does not give a power of two of sets.
  SetCache(uint32_t bytes, uint32_t ways, uint32_t line_bytes)
      : ways_(ways), line_shift_(static_cast<uint32_t>(std::countr_zero(line_bytes))) {
    if (bytes == 0) return;
    if (!std::has_single_bit(line_bytes) || ways == 0 || bytes % (ways * line_bytes) != 0 ||
        !std::has_single_bit(bytes / (ways * line_bytes)))
      throw std::invalid_argument("a cache needs a power of two of sets of lines of a power of two of bytes");
    set_mask_ = bytes / (ways * line_bytes) - 1;
    lines_.assign(bytes / line_bytes, kNoLine);
  }

  [[nodiscard]] bool present() const { return !lines_.empty(); }
  [[nodiscard]] uint32_t line_shift() const { return line_shift_; }

  /// Whether the line of `address` was held; it is afterwards, as the most recent of its set.
  bool access(uint32_t address) {
    if (lines_.empty()) return false;
    const uint32_t line = address >> line_shift_;
    uint32_t* const set = &lines_[static_cast<std::size_t>(line & set_mask_) * ways_];
    if (set[0] == line) return true;
    uint32_t way = 1;
    while (way < ways_ && set[way] != line) ++way;
    const bool held = way < ways_;
    for (way = std::min(way, ways_ - 1); way > 0; --way) set[way] = set[way - 1];
    set[0] = line;
    return held;
  }

  /// Forgets all lines.
  void clear() { std::fill(lines_.begin(), lines_.end(), kNoLine); }

 private:
  static constexpr uint32_t kNoLine = ~uint32_t{0};  // no line of at least 2 bytes has this number

  uint32_t ways_;
  uint32_t line_shift_;
  uint32_t set_mask_ = 0;
  std::vector<uint32_t> lines_;  // set by set, most recent first
};

}  // namespace lutra::mcu
