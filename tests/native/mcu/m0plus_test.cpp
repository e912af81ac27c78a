#include "mcu/timing/m0plus.hpp"

#include "check.hpp"
#include "cortex.hpp"
#include "mcu/trap.hpp"

// Cycle counts of "Cortex-M0+ Technical Reference Manual", 3.3, and what ARMv6-M does not have.

using namespace lutra::mcu;
using namespace lutra::mcu::testing;

namespace {

const Board kBoard = ideal_board(CoreKind::cortex_m0plus);

TrapKind trap_of(std::initializer_list<uint16_t> halfwords, uint32_t argument = kRamBase) {
  try {
    call(image_of(halfwords), kBoard, {argument});
  } catch (const Trap& trap) {
    return trap.kind();
  }
  return TrapKind::breakpoint;
}

void documented_cycles() {
  CHECK(cycles_of({0x3101}, kBoard) == 1);          // ADDS
  CHECK(cycles_of({0x4341}, kBoard) == 1);          // MULS
  CHECK(cycles_of({0x6801, 0x6842}, kBoard) == 4);  // LDR, LDR
  CHECK(cycles_of({0x6001}, kBoard) == 2);          // STR
  CHECK(cycles_of({0xC80E}, kBoard) == 4);          // LDM of three
  CHECK(cycles_of({0xE7FF}, kBoard) == 2);          // B to the next
  CHECK(cycles_of({0xB530, 0xBC30, 0xBC08, 0x469E}, kBoard) ==
        4 + 3 + 2 + 1);  // PUSH 3; POP 2; POP r3; MOV lr, r3
}

void delay_loop() {
  const CallResult result = call(image_of({0x3801, 0xD1FD, kReturn}), kBoard, {10});
  CHECK(result.cycles == 10 * 3 - 1 + 2);
}

void subset() {
  CHECK(trap_of({0xFB21, 0x1102}) == TrapKind::undefined_instruction);  // SMLAD
  CHECK(trap_of({0xEB01, 0x0102}) == TrapKind::undefined_instruction);  // ADD.W
  CHECK(trap_of({0xBF08, 0x4600}) == TrapKind::undefined_instruction);  // IT
  CHECK(trap_of({0xB100}) == TrapKind::undefined_instruction);          // CBZ
}

void alignment_faults() {
  CHECK(trap_of({0x6801, kReturn}, kRamBase + 2) == TrapKind::misaligned);  // LDR
  CHECK(trap_of({0x8001, kReturn}, kRamBase + 1) == TrapKind::misaligned);  // STRH
}

}  // namespace

int main() {
  documented_cycles();
  delay_loop();
  subset();
  alignment_faults();
  return lutra::check::finish();
}
