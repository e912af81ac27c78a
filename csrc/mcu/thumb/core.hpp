#pragma once

#include <cstdint>

#include "mcu/processor.hpp"
#include "mcu/thumb/execute.hpp"
#include "mcu/thumb/program.hpp"
#include "mcu/trap.hpp"

namespace lutra::mcu::thumb {

/// A Cortex-M: the Thumb instruction set with the timing of one core.
///
/// `Timing` is a policy as timing/retirement.hpp describes it, built from a Board, with a constant
/// `kFaultsUnaligned` that says whether single loads and stores must be aligned.
template <class Timing>
class Core final : public Processor {
 public:
  Core(const Board& board, Memory& memory, const ElfImage& image, const Features& features)
      : memory_(memory), program_(memory, image, features), timing_(board) {}

  CallResult call(const Call& call) override {
    State state;
    for (size_t i = 0; i < call.arguments.size(); ++i) state.r[i] = call.arguments[i];
    state.r[kSp] = call.stack_top;
    state.r[kLr] = kReturnAddress | 1;
    timing_.reset();
    CallResult result;
    result.instructions = run(state, call.function & ~1U, call.cycle_limit);
    result.cycles = timing_.cycles();
    result.stalls = timing_.stalls();
    result.value = state.r[0];
    return result;
  }

  void forget_code() override { program_.forget(); }

 private:
  /// Runs from `pc` until the function returns; gives the number of instructions.
  uint64_t run(State& state, uint32_t pc, uint64_t cycle_limit) {
    uint64_t count = 0;
    Retirement retirement;
    retirement.pc = pc;
    try {
      const Instruction* at = enter(pc);
      for (;;) {
        const Instruction& i = *at;
        retirement.next = retirement.pc + i.bytes;
        retirement.taken = false;
        retirement.executed = i.condition == kAlways || holds(state, i.condition);
        if (retirement.executed) [[likely]]
          execute<Timing::kFaultsUnaligned>(state, memory_, i, retirement);
        timing_.retire(i, retirement);
        ++count;
        if (!retirement.taken) {
          at += i.bytes / 2;
          retirement.pc = retirement.next;
          continue;
        }
        // Straight runs end, so that looking here is often enough.
        if (timing_.cycles() > cycle_limit) [[unlikely]]
          stop(TrapKind::cycle_limit, "the call takes more cycles than allowed; does it loop for ever?");
        if (retirement.next == kReturnAddress) return count;
        at = enter(retirement.next);
        retirement.pc = retirement.next;
      }
    } catch (const AccessFault& fault) {
      throw Trap(fault.kind, retirement.pc, fault.address, fault.detail);
    } catch (const Stop& reason) {
      const bool jumped = reason.kind == TrapKind::fetch_fault;
      throw Trap(reason.kind, retirement.pc, jumped ? retirement.next : retirement.pc, reason.detail);
    }
  }

  const Instruction* enter(uint32_t pc) {
    const Instruction* instruction = program_.entry(pc);
    if (!instruction) stop(TrapKind::fetch_fault, "jump to an address where the program has no code");
    return instruction;
  }

  Memory& memory_;
  Program program_;
  Timing timing_;
};

}  // namespace lutra::mcu::thumb
