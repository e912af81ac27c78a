#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "luts/key.hpp"

namespace lutra::luts {

/// What a table says about a key.
struct Row {
  double latency_ns = 0.0;
  float rel_halfwidth = 0.0F;  ///< NaN where it is not known
  std::uint16_t flags = 0;
};

/// Two rows have one key.
class DuplicateKeyError : public std::invalid_argument {
 public:
  explicit DuplicateKeyError(const Key& key);
};

/// Rows by key: a hash table with open addressing (linear probing, at most half full; Knuth, The Art of
/// Computer Programming, vol. 3, section 6.4, algorithm L) whose slots are half a cache line. Never changes
/// once built.
class QueryIndex {
 public:
  /// Throws std::invalid_argument: not one row per key; DuplicateKeyError.
  QueryIndex(std::span<const Key> keys, std::span<const Row> rows);

  /// The row of a key, if there is one.
  std::optional<Row> find(const Key& key) const;

  /// Writes the row of keys[i] (unpacked from kKeyBytes bytes at keys + i * kKeyBytes), or NaN, NaN, 0 and
  /// false.
  void lookup(std::span<const std::byte> keys, std::span<double> latency_ns, std::span<float> rel_halfwidth,
              std::span<std::uint16_t> flags, std::span<bool> found) const;

  /// Writes for each i the sum over the keys [offsets[i], offsets[i + 1]): NaN where one of them has no row,
  /// 0 for no keys. Throws std::invalid_argument: offsets do not rise from 0 to the number of keys.
  void sums(std::span<const std::byte> keys, std::span<const std::int64_t> offsets,
            std::span<double> out) const;

  std::size_t size() const { return size_; }
  /// Bytes that the slots take.
  std::size_t nbytes() const { return slots_.size() * sizeof(Slot); }

 private:
  struct alignas(32) Slot {
    Key key;
    double latency_ns;
    float rel_halfwidth;
    std::uint16_t flags;
    std::uint16_t used;
  };

  std::size_t home(const Key& key) const;
  const Slot* find_slot(const Key& key) const;
  template <class Visit>
  void visit(std::span<const std::byte> keys, Visit visit) const;

  std::vector<Slot> slots_;
  std::size_t mask_;
  std::size_t size_;
};

}  // namespace lutra::luts
