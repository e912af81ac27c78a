#pragma once

#include <cstdint>

#include "mcu/board.hpp"
#include "mcu/riscv/instruction.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/timing/set_cache.hpp"
#include "mcu/timing/stalls.hpp"

namespace lutra::mcu::riscv {

/// Cycles of the ESP32-C3's core: four stages, in order, one instruction a cycle, no branch prediction. RAM
/// answers in one cycle; flash is behind a cache that instructions and data share (the board's `icache`), and
/// a line that it does not hold costs `flash.wait_states`.
///
/// Sources:
///   [C3] cycle counts on an ESP32-C3: the microbenchmarks of ctrlsrc.io's "Counting CPU cycles on ESP32-C3
///   and
///        ESP32-C6 microcontrollers" (2023), code in RAM
///   [C6] nilhoel1/LLTA-Bench, RESULTS.md: an ESP32-C6, whose core is of the same family; taken over where
///   [C3] has
///        no figure
class InOrderTiming {
 public:
  explicit InOrderTiming(const Board& board);

  uint64_t cycles() const { return instructions_ + stalls_.total(); }
  const Stalls& stalls() const { return stalls_; }

  void reset();

  void retire(const Instruction& d, const Retirement& done) {
    ++instructions_;
    const uint32_t last = done.pc + d.bytes - 1;
    if (last >> cache_.line_shift() != fetched_line_) [[unlikely]]
      stalls_.fetch += fetch_line(last);

    // A loaded value can be used by the instruction after next. [C3]
    if (loaded_ != 0 && (d.rs1 == loaded_ || d.rs2 == loaded_)) ++stalls_.interlock;
    loaded_ = 0;

    switch (kind_of(d.operation)) {
      case Kind::load:
        loaded_ = d.rd;
        [[fallthrough]];
      case Kind::store:
        stalls_.data += access(d.operation, done.address);
        break;
      case Kind::branch:
        stalls_.branch += done.taken ? kTakenBranch : 0;
        break;
      case Kind::jump:
        stalls_.branch += kJump;
        break;
      case Kind::multiply_high:
        stalls_.multicycle += kMultiplyHigh;
        break;
      case Kind::divide:
        stalls_.multicycle += kDivide;
        break;
      case Kind::simple:
        break;
    }
  }

 private:
  enum class Kind : uint8_t { simple, load, store, branch, jump, multiply_high, divide };

  // Cycles beyond one.
  static constexpr uint32_t kTakenBranch = 2;  ///< in either direction; one that is not taken costs none [C3]
  static constexpr uint32_t kJump = 1;  ///< direct and indirect [C3: direct ones; assumed of indirect ones]
  static constexpr uint32_t kMultiplyHigh = 1;  ///< `mul` itself takes one cycle [C6]
  static constexpr uint32_t kDivide = 9;        ///< [C6, of quotients of one bit; assumed of all]
  static constexpr uint32_t kUnaligned = 1;     ///< [C6]

  static constexpr Kind kind_of(Operation operation) {
    using enum Operation;
    if (operation >= lb && operation <= lhu) return Kind::load;
    if (operation >= sb && operation <= sw) return Kind::store;
    if (operation >= beq && operation <= bgeu) return Kind::branch;
    if (operation == jal || operation == jalr) return Kind::jump;
    if (operation >= mulh && operation <= mulhu) return Kind::multiply_high;
    if (operation >= div && operation <= remu) return Kind::divide;
    return Kind::simple;
  }

  static constexpr uint32_t bytes_of(Operation operation) {
    using enum Operation;
    if (operation == lw || operation == sw) return 4;
    return operation == lh || operation == lhu || operation == sh ? 2 : 1;
  }

  uint32_t access(Operation operation, uint32_t address) {
    const uint32_t last = bytes_of(operation) - 1;
    uint32_t wait = (address & last) != 0 ? kUnaligned : 0;
    if (address - flash_base_ < flash_size_) [[unlikely]] {
      wait += read_line(address);
      if (((address ^ (address + last)) >> cache_.line_shift()) != 0) wait += read_line(address + last);
    }
    return wait;
  }

  uint32_t read_line(uint32_t address) { return cache_.access(address) ? 0 : miss_cycles_; }
  uint32_t fetch_line(uint32_t address);

  SetCache cache_;
  uint32_t flash_base_;
  uint32_t flash_size_;
  uint32_t miss_cycles_;
  Stalls stalls_;
  uint64_t instructions_ = 0;
  uint32_t fetched_line_ = ~uint32_t{0};
  uint8_t loaded_ = 0;  ///< the register that the last instruction loaded; 0: none
};

}  // namespace lutra::mcu::riscv
