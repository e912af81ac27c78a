#include "luts/index.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace lutra::luts {

namespace {

constexpr std::size_t kMinSlots = 16;
constexpr std::size_t kAhead = 8;  ///< keys of a batch whose slots are already being fetched

void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

void check_offsets(std::span<const std::int64_t> offsets, std::size_t keys, std::size_t sums) {
  bool rising = offsets.size() == sums + 1 && offsets.front() == 0;
  for (std::size_t i = 1; i < offsets.size(); ++i) rising &= offsets[i - 1] <= offsets[i];
  if (!rising || static_cast<std::uint64_t>(offsets.back()) != keys)
    throw std::invalid_argument("offsets must rise from 0 to the number of keys");
}

}  // namespace

DuplicateKeyError::DuplicateKeyError(const Key& key)
    : std::invalid_argument("two rows have the key " + format_key(key)) {}

QueryIndex::QueryIndex(std::span<const Key> keys, std::span<const Row> rows)
    : slots_(std::bit_ceil(std::max(2 * keys.size(), kMinSlots)), Slot{}),
      mask_(slots_.size() - 1),
      size_(keys.size()) {
  if (rows.size() != keys.size()) throw std::invalid_argument("an index needs one row per key");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::size_t at = home(keys[i]);
    for (; slots_[at].used != 0; at = (at + 1) & mask_)
      if (slots_[at].key == keys[i]) throw DuplicateKeyError(keys[i]);
    slots_[at] = {keys[i], rows[i].latency_ns, rows[i].rel_halfwidth, rows[i].flags, 1};
  }
}

/// Keys are digests in practice; the product spreads those that are not (multiplicative hashing,
/// section 6.4).
std::size_t QueryIndex::home(const Key& key) const {
  const std::uint64_t mixed = (key.high ^ std::rotl(key.low, 32)) * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::size_t>(mixed ^ mixed >> 32) & mask_;
}

const QueryIndex::Slot* QueryIndex::find_slot(const Key& key) const {
  for (std::size_t at = home(key); slots_[at].used != 0; at = (at + 1) & mask_)
    if (slots_[at].key == key) return &slots_[at];
  return nullptr;
}

std::optional<Row> QueryIndex::find(const Key& key) const {
  const Slot* slot = find_slot(key);
  if (slot == nullptr) return std::nullopt;
  return Row{slot->latency_ns, slot->rel_halfwidth, slot->flags};
}

/// Calls `visit(i, slot)` for each key, with null for one without a row. A batch does not wait for memory:
/// while one slot is looked at, those of the next keys are on their way.
template <class Visit>
void QueryIndex::visit(std::span<const std::byte> keys, Visit visit) const {
  const std::size_t count = keys.size() / kKeyBytes;
  const auto key_at = [&](std::size_t i) { return unpack_key(keys.data() + i * kKeyBytes); };
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) prefetch(&slots_[home(key_at(i))]);
  for (std::size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) prefetch(&slots_[home(key_at(i + kAhead))]);
    visit(i, find_slot(key_at(i)));
  }
}

void QueryIndex::lookup(std::span<const std::byte> keys, std::span<double> latency_ns,
                        std::span<float> rel_halfwidth, std::span<std::uint16_t> flags,
                        std::span<bool> found) const {
  visit(keys, [&](std::size_t i, const Slot* slot) {
    latency_ns[i] = slot ? slot->latency_ns : std::numeric_limits<double>::quiet_NaN();
    rel_halfwidth[i] = slot ? slot->rel_halfwidth : std::numeric_limits<float>::quiet_NaN();
    flags[i] = slot ? slot->flags : std::uint16_t{0};
    found[i] = slot != nullptr;
  });
}

void QueryIndex::sums(std::span<const std::byte> keys, std::span<const std::int64_t> offsets,
                      std::span<double> out) const {
  check_offsets(offsets, keys.size() / kKeyBytes, out.size());
  std::size_t network = 0;
  double sum = 0.0;
  const auto end_networks_at = [&](std::size_t key) {
    for (; network < out.size() && static_cast<std::size_t>(offsets[network + 1]) == key; ++network) {
      out[network] = sum;
      sum = 0.0;
    }
  };
  end_networks_at(0);
  visit(keys, [&](std::size_t i, const Slot* slot) {
    sum += slot ? slot->latency_ns : std::numeric_limits<double>::quiet_NaN();
    end_networks_at(i + 1);
  });
}

}  // namespace lutra::luts
