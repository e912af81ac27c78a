#include "mcu/timing/m7.hpp"

#include <algorithm>

namespace lutra::mcu {

void M7Timing::reset() {
  memory_.clear();
  std::ranges::fill(described_, kNowhere);  // the host may have changed the code
  predictor_.clear();
  results_ = {};
  float_results_ = {};
  stalls_ = {};
  now_ = flags_set_ = 0;
  issued_ = loaded_from_ = 0;
  taken_ = 0;
  closed_ = false;
}

void M7Timing::wait_for_fetch(uint32_t cycles) {
  open((issued_ > 0 ? 1 : 0) + cycles);
  stalls_.fetch += cycles;
}

void M7Timing::hold(const M7Issue& issue, const thumb::Instruction& instruction, const Retirement& done) {
  uint64_t further = issue.cycles - 1U;
  uint64_t* cause =
      (issue.takes & (m7_unit::kLoad | m7_unit::kStore)) != 0 ? &stalls_.data : &stalls_.multicycle;
  if (instruction.timing == thumb::TimingClass::divide) {
    // Early termination, 2 to 10 cycles, as the Cortex-M4 does it. [assumed: no source gives a formula]
    further = 1 + done.operand / 4;
  }
  *cause += further;
  pass(further);
}

void M7Timing::branch(const M7Issue& issue, const Retirement& done) {
  if (issue.conditional_branch) {
    if (!predictor_.predicted(done.pc, done.next < done.pc, done.taken)) {
      const bool early = now_ - flags_set_ >= kEarlyFlags;
      const uint32_t penalty = early ? kMispredictedEarly : kMispredicted;
      open(1 + penalty);
      stalls_.branch += penalty;
      return;
    }
    closed_ = closed_ || done.taken;
    return;
  }
  open(1 + kIndirectBubbles);
  stalls_.branch += kIndirectBubbles;
}

}  // namespace lutra::mcu
