#include "mcu/riscv/decode.hpp"

#include <array>

namespace lutra::mcu::riscv {

namespace {

using enum Operation;

/// Bits `high` down to `low` of `word`, at the low end of the result.
constexpr uint32_t field(uint32_t word, unsigned high, unsigned low) {
  return (word >> low) & ((2U << (high - low)) - 1U);
}

/// A field's bits moved up to `to`: how immediates are put together.
constexpr uint32_t placed(uint32_t word, unsigned high, unsigned low, unsigned to) {
  return field(word, high, low) << to;
}

constexpr uint32_t sign_extended(uint32_t value, unsigned bits) {
  const uint32_t sign = 1U << (bits - 1);
  return (value ^ sign) - sign;
}

constexpr uint8_t reg(uint32_t word, unsigned low) { return static_cast<uint8_t>(field(word, low + 4, low)); }

constexpr uint32_t kFullLength = 4;

Instruction full(Operation operation, uint8_t rd, uint8_t rs1, uint8_t rs2, uint32_t imm) {
  if (operation == illegal) return {.bytes = kFullLength};
  return {operation, rd, rs1, rs2, kFullLength, imm};
}

// --- 32-bit formats ---

Instruction i_type(Operation operation, uint32_t w) {
  return full(operation, reg(w, 7), reg(w, 15), 0, sign_extended(field(w, 31, 20), 12));
}

Instruction shift_by_constant(Operation operation, uint32_t w) {
  return full(operation, reg(w, 7), reg(w, 15), 0, field(w, 24, 20));
}

Instruction r_type(Operation operation, uint32_t w) {
  return full(operation, reg(w, 7), reg(w, 15), reg(w, 20), 0);
}

Instruction s_type(Operation operation, uint32_t w) {
  const uint32_t imm = placed(w, 31, 25, 5) | field(w, 11, 7);
  return full(operation, 0, reg(w, 15), reg(w, 20), sign_extended(imm, 12));
}

Instruction b_type(Operation operation, uint32_t w) {
  const uint32_t imm =
      placed(w, 31, 31, 12) | placed(w, 7, 7, 11) | placed(w, 30, 25, 5) | placed(w, 11, 8, 1);
  return full(operation, 0, reg(w, 15), reg(w, 20), sign_extended(imm, 13));
}

Instruction u_type(Operation operation, uint32_t w) {
  return full(operation, reg(w, 7), 0, 0, w & 0xfffff000U);
}

Instruction j_type(Operation operation, uint32_t w) {
  const uint32_t imm =
      placed(w, 31, 31, 20) | placed(w, 19, 12, 12) | placed(w, 20, 20, 11) | placed(w, 30, 21, 1);
  return full(operation, reg(w, 7), 0, 0, sign_extended(imm, 21));
}

// --- 32-bit instructions, by the three bits of funct3 where an opcode has several ---

constexpr Operation kNone = illegal;
using Eight = std::array<Operation, 8>;
constexpr Eight kBranches{beq, bne, kNone, kNone, blt, bge, bltu, bgeu};
constexpr Eight kLoads{lb, lh, lw, kNone, lbu, lhu, kNone, kNone};
constexpr Eight kStores{sb, sh, sw, kNone, kNone, kNone, kNone, kNone};
constexpr Eight kImmediate{addi, kNone, slti, sltiu, xori, kNone, ori, andi};
constexpr Eight kRegister{add, sll, slt, sltu, xor_, srl, or_, and_};
constexpr Eight kMultiply{mul, mulh, mulhsu, mulhu, div, divu, rem, remu};

Instruction decode_immediate(uint32_t w) {
  const uint32_t funct3 = field(w, 14, 12);
  const uint32_t funct7 = field(w, 31, 25);
  if (funct3 == 1) return shift_by_constant(funct7 == 0 ? slli : kNone, w);
  if (funct3 == 5) return shift_by_constant(funct7 == 0 ? srli : funct7 == 0x20 ? srai : kNone, w);
  return i_type(kImmediate[funct3], w);
}

Instruction decode_register(uint32_t w) {
  const uint32_t funct3 = field(w, 14, 12);
  switch (field(w, 31, 25)) {
    case 0x00:
      return r_type(kRegister[funct3], w);
    case 0x01:
      return r_type(kMultiply[funct3], w);
    case 0x20:
      return r_type(funct3 == 0 ? sub : funct3 == 5 ? sra : kNone, w);
    default:
      return full(kNone, 0, 0, 0, 0);
  }
}

Instruction decode_full(uint32_t w) {
  const uint32_t funct3 = field(w, 14, 12);
  switch (field(w, 6, 0)) {
    case 0x03:
      return i_type(kLoads[funct3], w);
    case 0x0f:
      return full(funct3 == 0 ? fence : kNone, 0, 0, 0, 0);
    case 0x13:
      return decode_immediate(w);
    case 0x17:
      return u_type(auipc, w);
    case 0x23:
      return s_type(kStores[funct3], w);
    case 0x33:
      return decode_register(w);
    case 0x37:
      return u_type(lui, w);
    case 0x63:
      return b_type(kBranches[funct3], w);
    case 0x67:
      return i_type(funct3 == 0 ? jalr : kNone, w);
    case 0x6f:
      return j_type(jal, w);
    case 0x73:
      return full(w == 0x73 ? ecall : w == 0x00100073 ? ebreak : kNone, 0, 0, 0, 0);
    default:
      return full(kNone, 0, 0, 0, 0);
  }
}

// --- compressed instructions ---

constexpr uint32_t kCompressedLength = 2;
constexpr uint8_t kReturnAddress = 1;
constexpr uint8_t kStackPointer = 2;

Instruction compressed(Operation operation, uint8_t rd, uint8_t rs1, uint8_t rs2, uint32_t imm) {
  return {operation, rd, rs1, rs2, kCompressedLength, imm};
}

Instruction reserved() { return {.bytes = kCompressedLength}; }

/// The three-bit register fields name x8 to x15.
constexpr uint8_t popular(uint32_t h, unsigned low) {
  return static_cast<uint8_t>(8 + field(h, low + 2, low));
}

/// The six-bit immediate of most of quadrant 1.
constexpr uint32_t immediate6(uint32_t h) { return sign_extended(placed(h, 12, 12, 5) | field(h, 6, 2), 6); }

Instruction decode_quadrant0(uint32_t h) {
  const uint8_t rd = popular(h, 2);
  const uint8_t rs1 = popular(h, 7);
  const uint32_t word = placed(h, 5, 5, 6) | placed(h, 12, 10, 3) | placed(h, 6, 6, 2);
  const uint32_t frame = placed(h, 10, 7, 6) | placed(h, 12, 11, 4) | placed(h, 5, 5, 3) | placed(h, 6, 6, 2);
  switch (field(h, 15, 13)) {
    case 0:
      return frame == 0 ? reserved() : compressed(addi, rd, kStackPointer, 0, frame);
    case 2:
      return compressed(lw, rd, rs1, 0, word);
    case 6:
      return compressed(sw, 0, rs1, rd, word);
    default:
      return reserved();
  }
}

Instruction decode_lui_or_stack(uint32_t h) {
  const uint8_t rd = reg(h, 7);
  if (rd == kStackPointer) {
    const uint32_t imm = sign_extended(placed(h, 12, 12, 9) | placed(h, 4, 3, 7) | placed(h, 5, 5, 6) |
                                           placed(h, 2, 2, 5) | placed(h, 6, 6, 4),
                                       10);
    return imm == 0 ? reserved() : compressed(addi, rd, rd, 0, imm);
  }
  return immediate6(h) == 0 ? reserved() : compressed(lui, rd, 0, 0, immediate6(h) << 12);
}

Instruction decode_compressed_alu(uint32_t h) {
  const uint8_t rd = popular(h, 7);
  const bool wide = field(h, 12, 12) != 0;  // a shift by more than 31, or an operation of RV64
  const uint32_t shift = field(h, 6, 2);
  constexpr std::array<Operation, 4> kTwoRegisters{sub, xor_, or_, and_};
  switch (field(h, 11, 10)) {
    case 0:
      return wide ? reserved() : compressed(srli, rd, rd, 0, shift);
    case 1:
      return wide ? reserved() : compressed(srai, rd, rd, 0, shift);
    case 2:
      return compressed(andi, rd, rd, 0, immediate6(h));
    default:
      return wide ? reserved() : compressed(kTwoRegisters[field(h, 6, 5)], rd, rd, popular(h, 2), 0);
  }
}

Instruction decode_quadrant1(uint32_t h) {
  const uint8_t rd = reg(h, 7);
  const uint32_t jump =
      sign_extended(placed(h, 12, 12, 11) | placed(h, 8, 8, 10) | placed(h, 10, 9, 8) | placed(h, 6, 6, 7) |
                        placed(h, 7, 7, 6) | placed(h, 2, 2, 5) | placed(h, 11, 11, 4) | placed(h, 5, 3, 1),
                    12);
  const uint32_t branch = sign_extended(placed(h, 12, 12, 8) | placed(h, 6, 5, 6) | placed(h, 2, 2, 5) |
                                            placed(h, 11, 10, 3) | placed(h, 4, 3, 1),
                                        9);
  switch (field(h, 15, 13)) {
    case 0:
      return compressed(addi, rd, rd, 0, immediate6(h));
    case 1:
      return compressed(jal, kReturnAddress, 0, 0, jump);
    case 2:
      return compressed(addi, rd, 0, 0, immediate6(h));
    case 3:
      return decode_lui_or_stack(h);
    case 4:
      return decode_compressed_alu(h);
    case 5:
      return compressed(jal, 0, 0, 0, jump);
    case 6:
      return compressed(beq, 0, popular(h, 7), 0, branch);
    default:
      return compressed(bne, 0, popular(h, 7), 0, branch);
  }
}

Instruction decode_jump_or_add(uint32_t h) {
  const uint8_t rd = reg(h, 7);
  const uint8_t rs2 = reg(h, 2);
  const bool links = field(h, 12, 12) != 0;
  if (rs2 != 0) return compressed(add, rd, links ? rd : uint8_t{0}, rs2, 0);
  if (rd != 0) return compressed(jalr, links ? kReturnAddress : uint8_t{0}, rd, 0, 0);
  return links ? compressed(ebreak, 0, 0, 0, 0) : reserved();
}

Instruction decode_quadrant2(uint32_t h) {
  const uint8_t rd = reg(h, 7);
  const uint32_t load = placed(h, 3, 2, 6) | placed(h, 12, 12, 5) | placed(h, 6, 4, 2);
  const uint32_t store = placed(h, 8, 7, 6) | placed(h, 12, 9, 2);
  switch (field(h, 15, 13)) {
    case 0:
      return field(h, 12, 12) != 0 ? reserved() : compressed(slli, rd, rd, 0, field(h, 6, 2));
    case 2:
      return rd == 0 ? reserved() : compressed(lw, rd, kStackPointer, 0, load);
    case 4:
      return decode_jump_or_add(h);
    case 6:
      return compressed(sw, 0, kStackPointer, reg(h, 2), store);
    default:
      return reserved();
  }
}

}  // namespace

Instruction decode(uint32_t bits) {
  switch (bits & 3U) {
    case 0:
      return decode_quadrant0(bits & 0xffffU);
    case 1:
      return decode_quadrant1(bits & 0xffffU);
    case 2:
      return decode_quadrant2(bits & 0xffffU);
    default:
      return decode_full(bits);
  }
}

}  // namespace lutra::mcu::riscv
