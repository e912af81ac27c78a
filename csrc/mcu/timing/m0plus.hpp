#pragma once

#include <cstdint>

#include "mcu/board.hpp"
#include "mcu/thumb/instruction.hpp"
#include "mcu/timing/flash.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/timing/stalls.hpp"

namespace lutra::mcu {

/// The two-stage pipeline of Cortex-M0+, with the single-cycle multiplier (RP2040 and most others have it).
///
/// Cycles: "Cortex-M0+ Technical Reference Manual", table 3-1 (ARM DDI 0484C).
class CortexM0PlusTiming {
 public:
  static constexpr bool kFaultsUnaligned = true;

  explicit CortexM0PlusTiming(const Board& board) : fetch_(board.flash), data_(board.flash) {}

  void reset() {
    fetch_.reset();
    data_.reset();
    cycles_ = 0;
    stalls_ = {};
  }

  uint64_t cycles() const { return cycles_; }
  Stalls stalls() const { return stalls_; }

  void retire(const thumb::Instruction& i, const Retirement& r) {
    stall(stalls_.fetch, fetch_.wait(r.pc, i.bytes, cycles_));
    ++cycles_;
    if (!r.executed) return;
    using Class = thumb::TimingClass;
    switch (i.timing) {
      case Class::load:
      case Class::load_narrow:
        stall(stalls_.data, 1 + data_.wait(r.address, i.access_bytes));
        break;
      case Class::store:
      case Class::store_indexed:
        stall(stalls_.data, 1);
        break;
      case Class::load_multiple:  // 1 + N, and 3 + N for POP with pc
        stall(stalls_.data, i.register_count + data_.wait(r.address, 4U * i.register_count));
        if (r.taken) stall(stalls_.branch, 2);
        break;
      case Class::store_multiple:
        stall(stalls_.data, i.register_count);
        break;
      case Class::branch:
      case Class::branch_register:
        if (r.taken) stall(stalls_.branch, 1);
        break;
      case Class::branch_link:
        stall(stalls_.branch, 2);
        break;
      case Class::system:
        stall(stalls_.multicycle, 2);
        break;
      default:
        break;
    }
  }

 private:
  void stall(uint64_t& cause, uint64_t cycles) {
    cycles_ += cycles;
    cause += cycles;
  }

  FlashFetch fetch_;
  FlashData data_;
  uint64_t cycles_ = 0;
  Stalls stalls_;
};

}  // namespace lutra::mcu
