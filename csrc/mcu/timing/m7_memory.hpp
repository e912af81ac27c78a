#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mcu/board.hpp"
#include "mcu/thumb/instruction.hpp"
#include "mcu/timing/set_cache.hpp"

namespace lutra::mcu {

/// Cycles for which memory keeps a Cortex-M7 waiting: caches in front of a bus, tightly coupled memory beside
/// them, and the store buffer.
class M7Memory {
 public:
  explicit M7Memory(const Board& board);

  void clear();

  /// Further cycles until an instruction of `bytes` at `pc` is there; 0 while execution stays in a line.
  uint32_t fetch(uint32_t pc, uint32_t bytes) {
    const uint32_t last = pc + bytes - 1;
    if (last >> icache_.line_shift() == fetched_line_) [[likely]]
      return 0;
    return fetch_line(last);
  }

  /// Further cycles of a load whose lowest address is given; `older`: of the pair that it is in.
  uint32_t load(const thumb::Instruction& instruction, uint32_t address, bool older) {
    uint32_t wait = 0;
    if (is_single(instruction) && (address & (instruction.access_bytes - 1U)) != 0) [[unlikely]]
      wait = older ? kUnalignedOlder : kUnalignedYounger;
    if (in_tcm(address)) return wait;
    return wait + read(address, bytes_of(instruction));
  }

  /// Further cycles of a store that issues in cycle `now`.
  uint32_t store(const thumb::Instruction& instruction, uint32_t address, uint64_t now);

 private:
  static constexpr uint32_t kUnalignedOlder = 3;    ///< [measured]
  static constexpr uint32_t kUnalignedYounger = 4;  ///< [measured]

  /// Not of two or more registers: those are of whole words, and loads of them need no more alignment.
  static bool is_single(const thumb::Instruction& d) { return d.access_bytes != 0 && d.access_bytes <= 4; }
  static uint32_t bytes_of(const thumb::Instruction& d);

  uint32_t fetch_line(uint32_t address);
  uint32_t read(uint32_t address, uint32_t bytes);
  bool in_tcm(uint32_t address) const;
  uint32_t miss_cycles(uint32_t address) const;

  struct Range {
    uint32_t base;
    uint32_t size;
    bool holds(uint32_t address) const { return address - base < size; }
  };

  SetCache icache_;
  SetCache dcache_;
  Range flash_;
  std::vector<Range> tcm_;
  uint32_t flash_miss_cycles_;
  uint32_t ram_miss_cycles_;
  uint32_t fetched_line_ = ~uint32_t{0};
  std::array<uint64_t, 2> bank_free_{};  ///< the cycle in which each bank has written all narrow stores
};

}  // namespace lutra::mcu
