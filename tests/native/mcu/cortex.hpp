#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "image.hpp"
#include "mcu/machine.hpp"

namespace lutra::mcu::testing {

/// A board that never waits for memory.
inline Board ideal_board(CoreKind core = CoreKind::cortex_m4) {
  Board board;
  board.core = core;
  board.fpu = core == CoreKind::cortex_m4;
  board.flash.size = 1U << 16;
  board.ram = {{.base = kRamBase, .size = 1U << 14}};
  return board;
}

inline CallResult call(const Image& image, const Board& board, std::initializer_list<uint32_t> arguments = {},
                       uint64_t cycle_limit = 1'000'000) {
  Machine machine(elf_of(image), board);
  return machine.call(image.base | 1, {arguments.begin(), arguments.size()}, cycle_limit);
}

/// Cycles of the instructions alone, which must fall through to a BX lr that is added to them.
inline uint64_t cycles_of(std::initializer_list<uint16_t> halfwords, const Board& board = ideal_board()) {
  constexpr uint64_t kReturnCycles = 3;
  constexpr uint64_t kReturnCyclesM0Plus = 2;
  Image image = image_of(halfwords);
  append(image.code, kReturn);
  const uint64_t cycles = call(image, board, {kRamBase + 64, 7, 3, kRamBase}).cycles;
  return cycles - (board.core == CoreKind::cortex_m0plus ? kReturnCyclesM0Plus : kReturnCycles);
}

}  // namespace lutra::mcu::testing
