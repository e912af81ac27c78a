#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lutra::mcu {

/// A branch target address cache with a two-bit counter in each entry, direct mapped, and a static rule for
/// branches it does not hold: backward ones are taken, forward ones are not.
template <std::size_t kEntries>
class BranchPredictor {
  static_assert((kEntries & (kEntries - 1)) == 0, "an entry is chosen by bits of the address");

 public:
  /// Whether the branch at `pc` would have been predicted as it went. Learns how it went: only taken branches
  /// enter the cache.
  bool predicted(uint32_t pc, bool backward, bool taken) {
    Entry& entry = entries_[(pc >> 1) & (kEntries - 1)];
    if (entry.pc == pc) {
      const bool right = (entry.counter >= kWeaklyTaken) == taken;
      if (taken && entry.counter < kStronglyTaken) ++entry.counter;
      if (!taken && entry.counter > 0) --entry.counter;
      return right;
    }
    if (taken) entry = {pc, kWeaklyTaken};
    return backward == taken;
  }

  void clear() { entries_.fill({}); }

 private:
  static constexpr uint8_t kWeaklyTaken = 2;
  static constexpr uint8_t kStronglyTaken = 3;

  struct Entry {
    uint32_t pc = 1;  // odd: no instruction's
    uint8_t counter = 0;
  };
  std::array<Entry, kEntries> entries_{};
};

}  // namespace lutra::mcu
