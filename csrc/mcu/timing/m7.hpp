#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mcu/board.hpp"
#include "mcu/thumb/instruction.hpp"
#include "mcu/timing/branch_predictor.hpp"
#include "mcu/timing/m7_issue.hpp"
#include "mcu/timing/m7_memory.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/timing/scoreboard.hpp"
#include "mcu/timing/stalls.hpp"

namespace lutra::mcu {

/// Cycles of a Cortex-M7: in order, up to two instructions a cycle.
///
/// Instructions enter the cycle that is open, as the older or the younger of a pair, until one has to wait
/// for an operand or does not fit; it then opens a later cycle. How each instruction issues is worked out
/// once and kept by its address (m7_issue.cpp has the rules and their sources); memory is m7_memory.hpp's.
class M7Timing {
 public:
  static constexpr bool kFaultsUnaligned = false;

  explicit M7Timing(const Board& board) : memory_(board), described_(kIssues, kNowhere), issues_(kIssues) {}

  uint64_t cycles() const { return now_ + (issued_ > 0 ? 1 : 0); }
  const Stalls& stalls() const { return stalls_; }

  void reset();

  void retire(const thumb::Instruction& instruction, const Retirement& done) {
    const M7Issue& issue = issue_of(instruction, done.pc);
    if (const uint32_t wait = memory_.fetch(done.pc, instruction.bytes); wait > 0) [[unlikely]]
      wait_for_fetch(wait);
    find_cycle(issue, done.address);
    const bool older = issued_++ == 0;
    taken_ |= issue.takes;
    const bool early =
        (older ? issue.early_as_older : issue.early_as_younger) && results_.ready_early(issue.reads.normal);
    if ((issue.takes & (m7_unit::kLoad | m7_unit::kStore)) != 0 && done.executed)
      access(issue, instruction, done.address, older);
    if ((issue.takes & m7_unit::kAlone) != 0) hold(issue, instruction, done);
    if (done.executed) write_results(issue, early);
    if (done.taken || issue.conditional_branch) branch(issue, done);
  }

 private:
  // [measured], [LLVM]: by the sources that m7_issue.cpp names. [assumed]: neither measured nor documented.
  static constexpr uint32_t kIndirectBubbles = 1;    ///< of calls and returns, which are predicted [assumed]
  static constexpr uint32_t kMispredicted = 8;       ///< [measured]
  static constexpr uint32_t kMispredictedEarly = 6;  ///< where the flags were set early [measured; LLVM]
  static constexpr uint32_t kEarlyFlags = 3;         ///< cycles before the branch [measured]
  static constexpr std::size_t kPredictedBranches = 64;  ///< entries of the target address cache [assumed]
  static constexpr std::size_t kIssues = 8192;

  static constexpr uint32_t kNowhere = 1;  ///< odd: no instruction's address

  const M7Issue& issue_of(const thumb::Instruction& instruction, uint32_t pc) {
    const uint32_t slot = (pc >> 1) & (kIssues - 1);
    if (described_[slot] != pc) [[unlikely]] {
      described_[slot] = pc;
      issues_[slot] = describe_m7(instruction);
    }
    return issues_[slot];
  }

  /// Whether the instruction can enter the open cycle beside what is in it.
  bool fits(const M7Issue& issue, uint32_t address) const {
    if (issued_ == 0) return true;
    if (issued_ == 2 || closed_ || (taken_ & issue.excludes) != 0) return false;
    if (((taken_ | issue.takes) & m7_unit::kAlone) != 0 || (issue.takes & m7_unit::kOlderOnly) != 0)
      return false;
    const bool loads = (taken_ & issue.takes & m7_unit::kLoad) != 0;
    return !loads || ((address ^ loaded_from_) & kBankBit) != 0;
  }

  void find_cycle(const M7Issue& issue, uint32_t address) {
    uint32_t wait = results_.wait(issue.reads);
    if ((issue.float_reads | issue.float_results) != 0) [[unlikely]]
      wait = std::max(wait, float_results_.wait({.normal = issue.float_reads}));
    if (wait == 0 && fits(issue, address)) return;
    const uint32_t due = issued_ > 0 ? 1 : 0;
    wait = std::max(wait, due);
    stalls_.interlock += wait - due;
    open(wait);
  }

  /// Opens the cycle that is `cycles` later.
  void open(uint32_t cycles) {
    pass(cycles);
    issued_ = 0;
    taken_ = 0;
    closed_ = false;
  }

  /// Keeps the open cycle's instructions in the pipeline for `cycles` more.
  void pass(uint64_t cycles) {
    now_ += cycles;
    results_.advance(cycles);
    float_results_.advance(cycles);
  }

  void access(const M7Issue& issue, const thumb::Instruction& instruction, uint32_t address, bool older) {
    const bool loads = (issue.takes & m7_unit::kLoad) != 0;
    if (loads) loaded_from_ = address;
    const uint32_t wait =
        loads ? memory_.load(instruction, address, older) : memory_.store(instruction, address, now_);
    if (wait == 0) [[likely]]
      return;
    stalls_.data += wait;
    pass(wait);
  }

  void write_results(const M7Issue& issue, bool early) {
    if ((issue.results & thumb::kFlags) != 0) flags_set_ = now_;
    if (issue.loads_words) {
      results_.write_loaded_words(issue.results);
    } else if (early) {
      results_.write(issue.results & ~thumb::kFlags, 0);  // [measured: forwarding within a pair]
      results_.write(issue.results & thumb::kFlags, 1);
    } else if (issue.results != 0) {
      results_.write(issue.results, issue.latency);
    }
    if (issue.updated_base != 0) results_.write(issue.updated_base, 0);
    if (issue.float_results != 0) [[unlikely]]
      float_results_.write(issue.float_results, issue.latency);
  }

  void wait_for_fetch(uint32_t cycles);
  void hold(const M7Issue& issue, const thumb::Instruction& instruction, const Retirement& done);
  void branch(const M7Issue& issue, const Retirement& done);

  static constexpr uint32_t kBankBit = 4;  ///< even and odd words are in different banks [measured]

  M7Memory memory_;
  std::vector<uint32_t> described_;  ///< the addresses whose instructions `issues_` holds
  std::vector<M7Issue> issues_;
  BranchPredictor<kPredictedBranches> predictor_;
  Scoreboard results_;
  Scoreboard float_results_;
  Stalls stalls_;
  uint64_t now_ = 0;        ///< the open cycle
  uint64_t flags_set_ = 0;  ///< the cycle that set the flags last
  uint32_t issued_ = 0;     ///< instructions in the open cycle
  uint32_t loaded_from_ = 0;
  uint16_t taken_ = 0;   ///< units, by the instructions of the open cycle
  bool closed_ = false;  ///< nothing can join the open cycle
};

}  // namespace lutra::mcu
