#pragma once

#include <cstdint>
#include <vector>

namespace lutra::mcu {

/// A small, fully associative cache of lines with the least recently used one evicted. Lines are numbered
/// from 0.
class LineCache {
 public:
  /// Holds `capacity` of `line_count` lines.
  LineCache(uint32_t line_count, uint32_t capacity);

  /// Whether the line was held; it is afterwards.
  bool access(uint32_t line) {
    if (capacity_ == 0) return false;
    const uint32_t slot = slot_of_[line];
    if (slot == newest_) return true;  // also false for an empty cache: kNone is no slot's number
    if (slot == kNone) {
      insert(line);
      return false;
    }
    unlink(slot);
    link_newest(slot);
    return true;
  }

  void clear();

 private:
  static constexpr uint16_t kNone = 0xFFFF;

  struct Slot {
    uint32_t line;
    uint16_t older;
    uint16_t newer;
  };

  void insert(uint32_t line);
  void unlink(uint32_t slot);
  void link_newest(uint32_t slot);

  uint32_t capacity_;
  std::vector<uint16_t> slot_of_;  ///< by line
  std::vector<Slot> slots_;        ///< those in use, chained from the oldest to the newest
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone + 1U;  ///< no slot, and not kNone: an absent line is not the newest
};

}  // namespace lutra::mcu
