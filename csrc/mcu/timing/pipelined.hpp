#pragma once

#include <cstdint>

#include "mcu/board.hpp"
#include "mcu/thumb/instruction.hpp"
#include "mcu/timing/flash.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/timing/stalls.hpp"

namespace lutra::mcu {

/// Cycles beyond one that Cortex-M3, M4 and M33 take differently.
struct MultiplyCycles {
  uint32_t accumulate;
  uint32_t long_product;
  uint32_t long_accumulate;
};

/// One cycle each: "Cortex-M4 Technical Reference Manual", table 3-1.
inline constexpr MultiplyCycles kSingleCycleMultiplier = {0, 0, 0};
/// MLA 2, SMULL 3-5, SMLAL 4-7 depending on the operands ("Cortex-M3 Technical Reference Manual", table 3-1);
/// the middle of what is documented.
inline constexpr MultiplyCycles kCortexM3Multiplier = {1, 3, 4};

/// The three-stage pipeline of Cortex-M3, M4 and M33 with flash behind line buffers.
///
/// Sources: [TRM] "Cortex-M4 Technical Reference Manual", 3.3 "Instruction set summary" and 3.3.3 "Load/store
/// timings"; [TI] SWCU185 (CC13x2 reference manual), which reprints the latter; [ALIGN] compendium.i-0.nl,
/// "Alignment rules", measured on an STM32L4. Arm publishes no table for Cortex-M33: that it takes what an M4
/// takes is assumed.
template <MultiplyCycles kMultiply>
class PipelinedTiming {
 public:
  static constexpr bool kFaultsUnaligned = false;

  explicit PipelinedTiming(const Board& board) : fetch_(board.flash), data_(board.flash) {}

  void reset() {
    fetch_.reset();
    data_.reset();
    cycles_ = 0;
    stalls_ = {};
    after_branch_ = false;
    wide_run_ = 0;
    forget_previous();
  }

  uint64_t cycles() const { return cycles_; }
  Stalls stalls() const { return stalls_; }

  void retire(const thumb::Instruction& i, const Retirement& r) {
    stall(stalls_.fetch, fetch_.wait(r.pc, i.bytes, cycles_));
    ++cycles_;
    if (!r.executed) {
      after_branch_ = false;
      forget_previous();
      return;
    }
    align(i, r);
    // An address that the instruction before has just computed is late by a cycle [TI, "Load/store timings"].
    if (i.early_sources & fresh_results_) stall(stalls_.interlock, 1);
    charge(i, r);
  }

 private:
  using Class = thumb::TimingClass;

  // Pipeline refill after taken branches [TRM: P = 1 to 3]. With 1 for a fixed target the delay loop SUBS,
  // BNE takes its well-known 3 cycles. That a target from a register or memory takes a cycle more is assumed.
  static constexpr uint64_t kRefill = 1;
  static constexpr uint64_t kIndirectRefill = 2;
  static constexpr uint32_t kWideRun = 3;  // [ALIGN]

  void stall(uint64_t& cause, uint64_t cycles) {
    cycles_ += cycles;
    cause += cycles;
  }

  void forget_previous() {
    previous_is_load_ = false;
    fresh_results_ = 0;
  }

  /// 32-bit instructions at halfword addresses need a second fetch: a branch to one waits for it, and so does
  /// each third one in a row, when the prefetch buffer has run dry [ALIGN].
  void align(const thumb::Instruction& i, const Retirement& r) {
    const bool unaligned_wide = i.bytes == 4 && (r.pc & 2) != 0;
    if (unaligned_wide && after_branch_) stall(stalls_.fetch, 1);
    after_branch_ = false;
    wide_run_ = unaligned_wide ? wide_run_ + 1 : 0;
    if (wide_run_ < kWideRun) return;
    stall(stalls_.fetch, 1);
    wide_run_ = 0;
  }

  void charge(const thumb::Instruction& i, const Retirement& r) {
    if (is_computation(i.timing)) [[likely]] {
      charge_computation(i, r);
      return;
    }
    fresh_results_ = 0;
    switch (i.timing) {
      case Class::load:
      case Class::load_narrow:
        charge_load(i, r);
        return;
      case Class::store:
        if (r.address & (i.access_bytes - 1U)) stall(stalls_.data, 1);  // unaligned: two transfers
        break;
      case Class::store_indexed:
        if (!pipelines(i)) stall(stalls_.data, 1);
        break;
      case Class::load_double:
      case Class::load_multiple:
      case Class::float_load:
        charge_multiple_load(i, r);
        break;
      case Class::store_double:
        stall(stalls_.data, 2);
        break;
      case Class::store_multiple:
      case Class::float_store:
        stall(stalls_.data, i.register_count);
        break;
      case Class::branch:
      case Class::branch_link:
        if (r.taken) refill(kRefill);
        break;
      case Class::branch_register:
        refill(kIndirectRefill);
        break;
      case Class::branch_table:  // its table entry is a load
        stall(stalls_.data, 1 + data_.wait(r.address, i.access_bytes));
        refill(kIndirectRefill);
        break;
      case Class::it:
        if (r.pc & 2) --cycles_;  // folded into the instruction before, with which it was fetched [TRM]
        break;
      case Class::system:
        stall(stalls_.multicycle, 1);
        break;  // MRS, MSR, barriers: 2 or more [TRM]
      case Class::float_accumulate:
        stall(stalls_.multicycle, 2);
        break;  // 3 [TRM, table 7-1]
      case Class::float_divide:
        stall(stalls_.multicycle, 13);
        break;  // 14 [TRM, table 7-1]
      default:
        break;
    }
    previous_is_load_ = false;
  }

  /// Whether a transfer follows a load so that their address and data phases overlap [TRM].
  bool pipelines(const thumb::Instruction& i) const {
    return previous_is_load_ && !(i.early_sources & loaded_);
  }

  void charge_load(const thumb::Instruction& i, const Retirement& r) {
    const bool crosses = (r.address & 3) + i.access_bytes > 4;
    stall(stalls_.data, (pipelines(i) ? 0 : 1) + (crosses ? 1 : 0) + data_.wait(r.address, i.access_bytes));
    previous_is_load_ = true;
    loaded_ = i.results;
    if (r.taken) refill(kIndirectRefill);
  }

  /// 1 + N cycles [TRM]; loading pc refills the pipeline.
  void charge_multiple_load(const thumb::Instruction& i, const Retirement& r) {
    const uint32_t words = i.timing == Class::load_double ? 2 : i.register_count;
    stall(stalls_.data, words + data_.wait(r.address, 4 * words));
    if (r.taken) refill(kIndirectRefill);
  }

  void charge_computation(const thumb::Instruction& i, const Retirement& r) {
    fresh_results_ = i.results;
    previous_is_load_ = false;
    switch (i.timing) {
      case Class::multiply_accumulate:
        stall(stalls_.multicycle, kMultiply.accumulate);
        break;
      case Class::multiply_long:
        stall(stalls_.multicycle, kMultiply.long_product);
        break;
      case Class::multiply_accumulate_long:
        stall(stalls_.multicycle, kMultiply.long_accumulate);
        break;
      case Class::divide:
        stall(stalls_.multicycle, divide_stall(r.operand));
        break;
      default:
        break;
    }
  }

  void refill(uint64_t cycles) {
    stall(stalls_.branch, cycles);
    after_branch_ = true;
    wide_run_ = 0;
  }

  /// 2 to 12 cycles, "depending on the leading zeros and ones of the operands" [TRM]; taken as linear in the
  /// bits of the quotient.
  static uint64_t divide_stall(uint32_t quotient_bits) {
    constexpr uint32_t kLeast = 2;
    constexpr uint32_t kMost = 12;
    return kLeast - 1 + ((kMost - kLeast) * quotient_bits + 31) / 32;
  }

  FlashFetch fetch_;
  FlashData data_;
  uint64_t cycles_ = 0;
  Stalls stalls_;
  uint32_t fresh_results_ = 0;  ///< registers that the instruction before has computed
  uint32_t loaded_ = 0;         ///< registers that it has loaded
  uint32_t wide_run_ = 0;       ///< unaligned wide instructions in a row
  bool previous_is_load_ = false;
  bool after_branch_ = false;
};

using CortexM4Timing = PipelinedTiming<kSingleCycleMultiplier>;
using CortexM3Timing = PipelinedTiming<kCortexM3Multiplier>;

}  // namespace lutra::mcu
