#include "mcu/riscv/decode.hpp"

#include <array>
#include <cstdint>
#include <iostream>
#include <random>

#include "check.hpp"

using namespace lutra::mcu::riscv;

namespace {

using enum Operation;

constexpr std::uint8_t kRa = 1, kSp = 2, kGp = 3, kT0 = 5, kT1 = 6, kS0 = 8, kS1 = 9, kA0 = 10, kA1 = 11,
                       kA2 = 12, kA3 = 13, kA4 = 14, kA5 = 15, kS9 = 25, kS10 = 26, kS11 = 27, kT3 = 28,
                       kT5 = 30, kT6 = 31;

struct Expected {
  std::uint32_t bits;  // as clang assembles the text behind it
  Operation operation;
  std::uint8_t rd, rs1, rs2;
  std::int32_t immediate;
};

constexpr Expected kFull[] = {
    {0x12345537, lui, kA0, 0, 0, 0x12345000},  // lui a0, 0x12345
    {0xfffff297, auipc, kT0, 0, 0, -4096},     // auipc t0, 0xfffff
    {0x7fe000ef, jal, kRa, 0, 0, 2046},        // jal ra, .+2046
    {0xffc605e7, jalr, kA1, kA2, 0, -4},       // jalr a1, -4(a2)
    {0x80940063, beq, 0, kS0, kS1, -4096},     // beq s0, s1, .-4096
    {0x7eb57fe3, bgeu, 0, kA0, kA1, 4094},     // bgeu a0, a1, .+4094
    {0xfff58503, lb, kA0, kA1, 0, -1},         // lb a0, -1(a1)
    {0x7fff5f83, lhu, kT6, kT5, 0, 2047},      // lhu t6, 2047(t5)
    {0x80a12023, sw, 0, kSp, kA0, -2048},      // sw a0, -2048(sp)
    {0x01c188a3, sb, 0, kGp, kT3, 17},         // sb t3, 17(gp)
    {0xfff58513, addi, kA0, kA1, 0, -1},       // addi a0, a1, -1
    {0x0055b513, sltiu, kA0, kA1, 0, 5},       // sltiu a0, a1, 5
    {0x01f59513, slli, kA0, kA1, 0, 31},       // slli a0, a1, 31
    {0x4015d513, srai, kA0, kA1, 0, 1},        // srai a0, a1, 1
    {0x40c58533, sub, kA0, kA1, kA2, 0},       // sub a0, a1, a2
    {0x419d5db3, sra, kS11, kS10, kS9, 0},     // sra s11, s10, s9
    {0x02c5a533, mulhsu, kA0, kA1, kA2, 0},    // mulhsu a0, a1, a2
    {0x02f776b3, remu, kA3, kA4, kA5, 0},      // remu a3, a4, a5
    {0x0ff0000f, fence, 0, 0, 0, 0},           // fence
    {0x00000073, ecall, 0, 0, 0, 0},           // ecall
    {0x00100073, ebreak, 0, 0, 0, 0},          // ebreak
};

constexpr Expected kCompressed[] = {
    {0x1fe0, addi, kS0, kSp, 0, 1020},  // c.addi4spn s0, sp, 1020
    {0x5c7c, lw, kA5, kS0, 0, 124},     // c.lw a5, 124(s0)
    {0xc2b8, sw, 0, kA3, kA4, 64},      // c.sw a4, 64(a3)
    {0x1501, addi, kA0, kA0, 0, -32},   // c.addi a0, -32
    {0x2ffd, jal, kRa, 0, 0, 2046},     // c.jal .+2046
    {0x52fd, addi, kT0, 0, 0, -1},      // c.li t0, -1
    {0x7101, addi, kSp, kSp, 0, -512},  // c.addi16sp sp, -512
    {0x7281, lui, kT0, 0, 0, -131072},  // c.lui t0, 0xfffe0
    {0x817d, srli, kA0, kA0, 0, 31},    // c.srli a0, 31
    {0x8585, srai, kA1, kA1, 0, 1},     // c.srai a1, 1
    {0x98f9, andi, kS1, kS1, 0, -2},    // c.andi s1, -2
    {0x8c1d, sub, kS0, kS0, kA5, 0},    // c.sub s0, a5
    {0x8d2d, xor_, kA0, kA0, kA1, 0},   // c.xor a0, a1
    {0x8d4d, or_, kA0, kA0, kA1, 0},    // c.or a0, a1
    {0x8d6d, and_, kA0, kA0, kA1, 0},   // c.and a0, a1
    {0xb001, jal, 0, 0, 0, -2048},      // c.j .-2048
    {0xd101, beq, 0, kA0, 0, -256},     // c.beqz a0, .-256
    {0xecfd, bne, 0, kS1, 0, 254},      // c.bnez s1, .+254
    {0x0ffe, slli, kT6, kT6, 0, 31},    // c.slli t6, 31
    {0x50fe, lw, kRa, kSp, 0, 252},     // c.lwsp ra, 252(sp)
    {0x8282, jalr, 0, kT0, 0, 0},       // c.jr t0
    {0x829a, add, kT0, 0, kT1, 0},      // c.mv t0, t1
    {0x9282, jalr, kRa, kT0, 0, 0},     // c.jalr t0
    {0x929a, add, kT0, kT0, kT1, 0},    // c.add t0, t1
    {0xdffe, sw, 0, kSp, kT6, 252},     // c.swsp t6, 252(sp)
    {0x9002, ebreak, 0, 0, 0, 0},       // c.ebreak
    {0x0001, addi, 0, 0, 0, 0},         // c.nop
};

bool matches(const Expected& expected, std::uint8_t bytes, std::uint32_t above) {
  const Instruction d = decode(expected.bits | above);
  const bool same = d.operation == expected.operation && d.rd == expected.rd && d.rs1 == expected.rs1 &&
                    d.rs2 == expected.rs2 && d.immediate == static_cast<std::uint32_t>(expected.immediate) &&
                    d.bytes == bytes;
  if (!same) std::cerr << std::hex << expected.bits << " is decoded otherwise\n";
  return same;
}

void decodes_what_an_assembler_encodes() {
  for (const Expected& expected : kFull) CHECK(matches(expected, 4, 0));
  for (const Expected& expected : kCompressed) {
    CHECK(matches(expected, 2, 0));
    CHECK(matches(expected, 2, 0xffff0000U));  // whatever follows
  }
}

void refuses_what_is_reserved() {
  constexpr std::array kReserved{
      0x0000U,  // all zero: defined to be illegal
      0x0004U,  // c.addi4spn of nothing
      0x6101U,  // c.addi16sp of nothing
      0x6281U,  // c.lui of nothing
      0x9101U,  // c.srli by 32
      0x9d01U,  // c.subw, of RV64
      0x1506U,  // c.slli by 33
      0x4002U,  // c.lwsp to x0
      0x8002U,  // c.jr x0
      0x2000U,  // c.fld
      0xffffffffU,
      0x02051513U,  // slli by 32
      0x40b51533U,  // sll with the bit that makes srl sra
      0x0000b503U,  // ld, of RV64
      0x30001073U,  // csrw: control registers are not simulated
      0x00a5a52fU,  // an atomic operation
  };
  for (const std::uint32_t bits : kReserved) CHECK(decode(bits).operation == illegal);
}

/// Whatever the bits are, registers exist, jumps are to halfwords and the length is told by the lowest bits.
void is_sound_for_any_bits() {
  std::mt19937 random(3);
  bool sound = true;
  for (int i = 0; i < 1000000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    const Instruction d = decode(bits);
    sound = sound && d.rd < 32 && d.rs1 < 32 && d.rs2 < 32 && d.bytes == ((bits & 3U) == 3U ? 4 : 2);
    const bool jumps = d.operation == jal || (d.operation >= beq && d.operation <= bgeu);
    sound = sound && !(jumps && (d.immediate & 1U) != 0);
  }
  CHECK(sound);
}

}  // namespace

int main() {
  decodes_what_an_assembler_encodes();
  refuses_what_is_reserved();
  is_sound_for_any_bits();
  return lutra::check::finish();
}
