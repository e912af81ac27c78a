#pragma once

#include <cstdint>

namespace lutra::mcu::riscv {

/// Operations of RV32IM. Compressed encodings are decoded into these.
// clang-format off: related operations share a line
enum class Operation : uint8_t {
  illegal, end_of_code,
  jal, jalr, beq, bne, blt, bge, bltu, bgeu,
  lb, lh, lw, lbu, lhu, sb, sh, sw,
  lui, auipc, addi, slti, sltiu, xori, ori, andi, slli, srli, srai,
  add, sub, sll, slt, sltu, xor_, srl, sra, or_, and_,
  mul, mulh, mulhsu, mulhu, div, divu, rem, remu,
  fence, ecall, ebreak
};
// clang-format on

/// A decoded instruction. Fields that its operation does not use are 0, so that register x0 stands for
/// "none".
struct Instruction {
  Operation operation = Operation::illegal;
  uint8_t rd = 0;
  uint8_t rs1 = 0;
  uint8_t rs2 = 0;
  uint8_t bytes = 0;       ///< length: 2 or 4; 0 where nothing is decoded yet
  uint32_t immediate = 0;  ///< sign-extended; of LUI and AUIPC already shifted; of jumps the distance
};

}  // namespace lutra::mcu::riscv
