#include "mcu/timing/line_cache.hpp"

namespace lutra::mcu {

LineCache::LineCache(uint32_t line_count, uint32_t capacity) : capacity_(capacity) {
  if (capacity_ == 0) return;
  slot_of_.assign(line_count, kNone);
  slots_.reserve(capacity_);
}

void LineCache::clear() {
  for (const Slot& slot : slots_) slot_of_[slot.line] = kNone;
  slots_.clear();
  oldest_ = kNone;
  newest_ = kNone + 1U;
}

void LineCache::insert(uint32_t line) {
  uint32_t slot = oldest_;
  if (slots_.size() < capacity_) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.push_back({});
  } else {
    slot_of_[slots_[slot].line] = kNone;
    unlink(slot);
  }
  slots_[slot].line = line;
  slot_of_[line] = static_cast<uint16_t>(slot);
  link_newest(slot);
}

void LineCache::unlink(uint32_t slot) {
  const auto [line, older, newer] = slots_[slot];
  if (older != kNone)
    slots_[older].newer = newer;
  else
    oldest_ = newer;
  if (newer != kNone)
    slots_[newer].older = older;
  else
    newest_ = older;
}

void LineCache::link_newest(uint32_t slot) {
  const bool first = newest_ >= kNone;
  slots_[slot].older = first ? kNone : static_cast<uint16_t>(newest_);
  slots_[slot].newer = kNone;
  if (first)
    oldest_ = slot;
  else
    slots_[newest_].newer = static_cast<uint16_t>(slot);
  newest_ = slot;
}

}  // namespace lutra::mcu
