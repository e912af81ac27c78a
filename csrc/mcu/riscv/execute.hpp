#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "mcu/memory.hpp"
#include "mcu/riscv/instruction.hpp"
#include "mcu/timing/retirement.hpp"
#include "mcu/trap.hpp"

namespace lutra::mcu::riscv {

/// x0 to x31. Instructions may write x0; whoever executes them clears it after each.
using Registers = std::array<uint32_t, 32>;

// Division never traps: by zero it gives all ones and the dividend as the remainder, and the one quotient
// that does not fit wraps (Volume I, table "Semantics for division by zero and division overflow").

constexpr bool overflows(int32_t dividend, int32_t divisor) {
  return dividend == std::numeric_limits<int32_t>::min() && divisor == -1;
}

constexpr uint32_t quotient(int32_t dividend, int32_t divisor) {
  if (divisor == 0) return ~uint32_t{0};
  return static_cast<uint32_t>(overflows(dividend, divisor) ? dividend : dividend / divisor);
}

constexpr uint32_t remainder(int32_t dividend, int32_t divisor) {
  if (divisor == 0) return static_cast<uint32_t>(dividend);
  return static_cast<uint32_t>(overflows(dividend, divisor) ? 0 : dividend % divisor);
}

constexpr uint32_t quotient(uint32_t dividend, uint32_t divisor) {
  return divisor == 0 ? ~uint32_t{0} : dividend / divisor;
}

constexpr uint32_t remainder(uint32_t dividend, uint32_t divisor) {
  return divisor == 0 ? dividend : dividend % divisor;
}

/// Sign-extended.
constexpr uint32_t widened(int32_t value) { return static_cast<uint32_t>(value); }

/// The upper half of a product of 64 bits.
constexpr uint32_t high(int64_t product) {
  return static_cast<uint32_t>(static_cast<uint64_t>(product) >> 32);
}
constexpr uint32_t high(uint64_t product) { return static_cast<uint32_t>(product >> 32); }

/// Executes one instruction and fills in `done` what the timing asks for; `done.pc` is its address and
/// `done.next` that of the one behind it. Throws Trap, with a pc of 0 where memory refused.
inline void execute(const Instruction& d, Registers& x, Memory& memory, Retirement& done) {
  const uint32_t a = x[d.rs1];
  const uint32_t b = x[d.rs2];
  const auto signed_a = static_cast<int32_t>(a);
  const auto signed_b = static_cast<int32_t>(b);
  const uint32_t c = d.immediate;
  const auto signed_c = static_cast<int32_t>(c);

  const auto address = [&] { return done.address = a + c; };
  const auto branch = [&](bool taken) {
    done.taken = taken;
    if (taken) done.next = done.pc + c;
  };

  // clang-format off: an operation a line
  switch (d.operation) {
    using enum Operation;
    case jal: x[d.rd] = done.next; branch(true); break;
    case jalr: done.taken = true; x[d.rd] = std::exchange(done.next, (a + c) & ~uint32_t{1}); break;
    case beq: branch(a == b); break;
    case bne: branch(a != b); break;
    case blt: branch(signed_a < signed_b); break;
    case bge: branch(signed_a >= signed_b); break;
    case bltu: branch(a < b); break;
    case bgeu: branch(a >= b); break;

    case lb: x[d.rd] = widened(memory.load<int8_t>(address())); break;
    case lh: x[d.rd] = widened(memory.load<int16_t>(address())); break;
    case lw: x[d.rd] = memory.load<uint32_t>(address()); break;
    case lbu: x[d.rd] = memory.load<uint8_t>(address()); break;
    case lhu: x[d.rd] = memory.load<uint16_t>(address()); break;
    case sb: memory.store(address(), static_cast<uint8_t>(b)); break;
    case sh: memory.store(address(), static_cast<uint16_t>(b)); break;
    case sw: memory.store(address(), b); break;

    case lui: x[d.rd] = c; break;
    case auipc: x[d.rd] = done.pc + c; break;
    case addi: x[d.rd] = a + c; break;
    case slti: x[d.rd] = signed_a < signed_c; break;
    case sltiu: x[d.rd] = a < c; break;
    case xori: x[d.rd] = a ^ c; break;
    case ori: x[d.rd] = a | c; break;
    case andi: x[d.rd] = a & c; break;
    case slli: x[d.rd] = a << c; break;
    case srli: x[d.rd] = a >> c; break;
    case srai: x[d.rd] = widened(signed_a >> c); break;

    case add: x[d.rd] = a + b; break;
    case sub: x[d.rd] = a - b; break;
    case sll: x[d.rd] = a << (b & 31); break;
    case slt: x[d.rd] = signed_a < signed_b; break;
    case sltu: x[d.rd] = a < b; break;
    case xor_: x[d.rd] = a ^ b; break;
    case srl: x[d.rd] = a >> (b & 31); break;
    case sra: x[d.rd] = widened(signed_a >> (b & 31)); break;
    case or_: x[d.rd] = a | b; break;
    case and_: x[d.rd] = a & b; break;

    case mul: x[d.rd] = a * b; break;
    case mulh: x[d.rd] = high(int64_t{signed_a} * signed_b); break;
    case mulhsu: x[d.rd] = high(int64_t{signed_a} * int64_t{b}); break;
    case mulhu: x[d.rd] = high(uint64_t{a} * b); break;
    case div: x[d.rd] = quotient(signed_a, signed_b); break;
    case divu: x[d.rd] = quotient(a, b); break;
    case rem: x[d.rd] = remainder(signed_a, signed_b); break;
    case remu: x[d.rd] = remainder(a, b); break;

    case fence: break;
    case ecall: throw Trap(TrapKind::breakpoint, done.pc, 0, "ecall: there is no operating system");
    case ebreak: throw Trap(TrapKind::breakpoint, done.pc, 0, "ebreak");
    case end_of_code: throw Trap(TrapKind::fetch_fault, done.pc, done.pc, "execution ran past the program's code");
    case illegal: throw Trap(TrapKind::undefined_instruction, done.pc, 0, "not an instruction of RV32IMC");
  }
  // clang-format on
  x[0] = 0;
}

}  // namespace lutra::mcu::riscv
