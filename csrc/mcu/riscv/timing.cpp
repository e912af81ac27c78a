#include "mcu/riscv/timing.hpp"

namespace lutra::mcu::riscv {

InOrderTiming::InOrderTiming(const Board& board)
    : cache_(board.icache.bytes, board.icache.ways, board.icache.line_bytes),
      flash_base_(board.flash.base),
      flash_size_(board.flash.size),
      miss_cycles_(board.flash.wait_states) {}

void InOrderTiming::reset() {
  cache_.clear();
  stalls_ = {};
  instructions_ = 0;
  fetched_line_ = ~uint32_t{0};
  loaded_ = 0;
}

uint32_t InOrderTiming::fetch_line(uint32_t address) {
  fetched_line_ = address >> cache_.line_shift();
  return address - flash_base_ < flash_size_ ? read_line(address) : 0;
}

}  // namespace lutra::mcu::riscv
