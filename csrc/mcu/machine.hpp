#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "mcu/board.hpp"
#include "mcu/elf.hpp"
#include "mcu/memory.hpp"
#include "mcu/processor.hpp"

namespace lutra::mcu {

/// A board with a program in its memory. Calls and accesses from several threads happen one after another.
class Machine {
 public:
  /// Loads the segments of the ELF file. Throws ElfError for a file that is corrupt, built for another core
  /// or does not fit into the board's memory, and std::invalid_argument for a board that cannot exist.
  Machine(std::span<const uint8_t> elf, const Board& board);

  const std::map<std::string, ElfSymbol>& symbols() const { return image_.symbols; }

  /// The host's view of memory; flash may be written (weights). Throw std::out_of_range.
  void write(uint32_t address, std::span<const uint8_t> bytes);
  std::vector<uint8_t> read(uint32_t address, uint32_t bytes) const;

  /// Runs a function to its return. Caches are cold at the start. Throws Trap, and std::invalid_argument for
  /// more arguments than the calling convention passes in registers.
  CallResult call(uint32_t function, std::span<const uint32_t> arguments, uint64_t cycle_limit);

 private:
  void load(const ElfSegment& segment);

  Board board_;
  ElfImage image_;
  Memory memory_;
  mutable std::mutex mutex_;  ///< held while memory or processor are in use
  std::unique_ptr<Processor> processor_;
};

}  // namespace lutra::mcu
