#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "mcu/processor.hpp"
#include "mcu/riscv/execute.hpp"
#include "mcu/riscv/program.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/trap.hpp"

namespace lutra::mcu::riscv {

/// An RV32IMC hart in machine mode without interrupts, control registers or an operating system.
template <class Timing>
class Core final : public Processor {
 public:
  Core(const Board& board, Memory& memory, const ElfImage& image)
      : memory_(memory), program_(memory, image), timing_(board) {}

  CallResult call(const Call& call) override;
  void forget_code() override { program_.forget(); }

 private:
  static constexpr size_t kRa = 1;
  static constexpr size_t kSp = 2;
  static constexpr size_t kA0 = 10;

  uint64_t run(Registers& x, uint32_t pc, uint64_t cycle_limit);
  const Instruction* jump(uint32_t pc, uint32_t target, uint64_t cycle_limit);

  Memory& memory_;
  Program program_;
  Timing timing_;
};

template <class Timing>
CallResult Core<Timing>::call(const Call& call) {
  timing_.reset();
  Registers x{};
  x[kRa] = kReturnAddress;
  x[kSp] = call.stack_top;
  std::ranges::copy(call.arguments, x.begin() + kA0);
  const uint64_t instructions = run(x, call.function, call.cycle_limit);
  return {timing_.cycles(), instructions, x[kA0], timing_.stalls()};
}

/// Executes until the function returns; gives the number of instructions.
template <class Timing>
uint64_t Core<Timing>::run(Registers& x, uint32_t pc, uint64_t cycle_limit) {
  uint64_t instructions = 0;
  try {
    for (const Instruction* instruction = jump(pc, pc, cycle_limit);;) {
      Retirement done{.pc = pc, .next = pc + instruction->bytes};
      execute(*instruction, x, memory_, done);
      timing_.retire(*instruction, done);
      ++instructions;
      if (!done.taken) {
        instruction += instruction->bytes / 2;
      } else {
        if (done.next == kReturnAddress) return instructions;
        instruction = jump(pc, done.next, cycle_limit);
      }
      pc = done.next;
    }
  } catch (const AccessFault& fault) {
    throw Trap(fault.kind, pc, fault.address, fault.detail);
  }
}

/// The instruction that a jump at `pc` leads to. The limit is looked at here: without jumps a program ends.
template <class Timing>
const Instruction* Core<Timing>::jump(uint32_t pc, uint32_t target, uint64_t cycle_limit) {
  if (timing_.cycles() > cycle_limit)
    throw Trap(TrapKind::cycle_limit, pc, 0, "the call took longer than allowed");
  const Instruction* const instruction = program_.entry(target);
  if (instruction == nullptr)
    throw Trap(TrapKind::fetch_fault, pc, target, "a jump out of the program's code");
  return instruction;
}

}  // namespace lutra::mcu::riscv
