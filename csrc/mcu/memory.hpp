#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "mcu/board.hpp"

namespace lutra::mcu {

static_assert(std::endian::native == std::endian::little,
              "the simulator reads little-endian memory in place");

/// Flash and RAM of a board, zero at first. The program loads from both and stores to RAM only; the host may
/// write anywhere.
///
/// The program's accesses throw AccessFault, the host's std::out_of_range.
class Memory {
 public:
  explicit Memory(const Board& board);

  template <class Value>
  Value load(uint32_t address) const {
    Value value;
    std::memcpy(&value, readable(address, sizeof(Value)), sizeof(Value));
    return value;
  }

  template <class Value>
  void store(uint32_t address, Value value) {
    std::memcpy(writable(address, sizeof(Value)), &value, sizeof(Value));
  }

  /// Where `bytes` bytes at `address` can be read; throws AccessFault unless one region holds them all.
  const uint8_t* readable(uint32_t address, uint32_t bytes) const {
    const Region& first = regions_.front();
    if (const uint32_t offset = address - first.base; first.holds(offset, bytes)) [[likely]]
      return first.data + offset;
    return readable_elsewhere(address, bytes);
  }

  /// As `readable`, for the program's stores.
  uint8_t* writable(uint32_t address, uint32_t bytes) {
    const Region& first = regions_.front();
    const uint32_t offset = address - first.base;
    if (first.holds(offset, bytes) && code_.empty()) [[likely]]
      return first.data + offset;
    return writable_elsewhere(address, bytes);
  }

  bool in_flash(uint32_t address) const { return address - flash_base_ < flash_size_; }

  /// Whether one region holds all `bytes` bytes at `address`.
  bool contains(uint32_t address, uint64_t bytes) const;

  /// The host's accesses, flash included. Throw std::out_of_range.
  void write(uint32_t address, std::span<const uint8_t> bytes);
  std::vector<uint8_t> read(uint32_t address, uint32_t bytes) const;

  /// Stores of the program to this range of RAM trap from now on: its instructions are decoded once.
  void protect_code(uint32_t base, uint32_t size);

 private:
  struct Region {
    uint32_t base;
    uint32_t size;
    uint8_t* data;

    bool holds(uint32_t offset, uint32_t bytes) const { return offset < size && size - offset >= bytes; }
  };

  struct Range {
    uint32_t base;
    uint32_t size;
  };

  const Region* region_of(uint32_t address, uint64_t bytes) const;
  const uint8_t* readable_elsewhere(uint32_t address, uint32_t bytes) const;
  uint8_t* writable_elsewhere(uint32_t address, uint32_t bytes);

  struct Free {
    void operator()(uint8_t* block) const { std::free(block); }
  };

  uint8_t* allocate(uint32_t bytes);

  std::vector<std::unique_ptr<uint8_t, Free>> storage_;
  std::vector<Region> regions_;  ///< RAM in the board's order, then flash
  uint32_t flash_base_ = 0;
  uint32_t flash_size_ = 0;
  std::vector<Range> code_;  ///< in RAM
};

}  // namespace lutra::mcu
