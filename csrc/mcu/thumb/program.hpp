#pragma once

#include <cstdint>
#include <vector>

#include "mcu/elf.hpp"
#include "mcu/memory.hpp"
#include "mcu/thumb/decode.hpp"
#include "mcu/thumb/instruction.hpp"

namespace lutra::mcu::thumb {

/// A program's code, decoded block by block when execution first gets there.
///
/// One Instruction lies at each halfword of code where one starts, so that a straight run is walked with a
/// pointer: the next instruction is `bytes / 2` elements on. The conditions of an IT block are put into its
/// instructions.
class Program {
 public:
  Program(const Memory& memory, const ElfImage& image, const Features& features);

  /// The instruction at `pc`; what follows it in a straight line is decoded as well, up to the first
  /// unconditional branch. nullptr where there is no code.
  const Instruction* entry(uint32_t pc);

  /// Decodes everything anew from now on.
  void forget();

 private:
  struct Range {
    uint32_t base;
    uint32_t size;
    std::vector<Instruction> instructions;  ///< one a halfword, and two that mark the end
  };

  void decode_run(Range& range, uint32_t index);
  Instruction decode_at(const Range& range, uint32_t index, bool in_it_block) const;

  const Memory& memory_;
  Features features_;
  std::vector<Range> ranges_;
};

}  // namespace lutra::mcu::thumb
