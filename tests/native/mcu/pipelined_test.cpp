#include "mcu/timing/pipelined.hpp"

#include "check.hpp"
#include "cortex.hpp"

// Cycle counts of small programs that follow from the rules in timing/pipelined.hpp and timing/flash.hpp.

using namespace lutra::mcu;
using namespace lutra::mcu::testing;

namespace {

constexpr uint16_t kNop = 0xBF00;

void delay_loop_takes_three_cycles_a_round() {
  const Image loop = image_of({0x3801, 0xD1FD, kReturn});  // SUBS r0, #1; BNE -2; BX lr
  for (const uint32_t rounds : {1U, 2U, 1000U}) {
    const CallResult result = call(loop, ideal_board(), {rounds});
    CHECK(result.cycles == 3 * rounds - 1 + 3);  // the last BNE is not taken; BX takes 3
    CHECK(result.instructions == 2 * rounds + 1);
    CHECK(result.stalls.branch == rounds - 1 + 2);
    CHECK(result.stalls.total() == result.stalls.branch);
  }
}

void loads_pipeline() {
  CHECK(cycles_of({0x6801}) == 2);                                      // LDR r1, [r0]
  CHECK(cycles_of({0x6801, 0x6842, 0x6881}) == 4);                      // three in a row
  CHECK(cycles_of({0x6801, kNop, 0x6842}) == 5);                        // apart
  CHECK(cycles_of({0x6018, 0x6801, 0x6018, 0x6801}) == 1 + 2 + 1 + 2);  // STR r0, [r3] between
  CHECK(cycles_of({0x601B, 0x681C, 0x6825}) == 1 + 2 + 2);  // STR r3, [r3]; LDR r4, [r3]; LDR r5, [r4]
}

void stores_and_multiple_transfers() {
  CHECK(cycles_of({0x6001}) == 1);                  // STR r1, [r0]
  CHECK(cycles_of({0x2500, 0xBF00, 0x5141}) == 4);  // STR r1, [r0, r5]
  CHECK(cycles_of({0xC80E}) == 4);                  // LDM r0!, {r1-r3}
  CHECK(cycles_of({0xC00E}) == 4);                  // STM r0!, {r1-r3}
  CHECK(cycles_of({0xE9D0, 0x1200}) == 3);          // LDRD r1, r2, [r0]
  CHECK(cycles_of({0xB410, 0xBC10}) == 4);          // PUSH {r4}; POP {r4}
}

void computed_addresses_come_late() {
  CHECK(cycles_of({0x3004, 0x6801}) == 4);        // ADDS r0, #4; LDR r1, [r0]
  CHECK(cycles_of({0x3004, kNop, 0x6801}) == 4);  // with something in between
  CHECK(cycles_of({0x3101, 0x6802}) == 3);        // another register
  const CallResult result = call(image_of({0x3004, 0x6801, kReturn}), ideal_board(), {kRamBase});
  CHECK(result.stalls.interlock == 1 && result.stalls.data == 1 && result.stalls.branch == 2);
}

void computations() {
  CHECK(cycles_of({0x4341}) == 1);                       // MULS r1, r0
  CHECK(cycles_of({0xFB21, 0x1102}) == 1);               // SMLAD r1, r1, r2, r1
  CHECK(cycles_of({0xFBC1, 0x4502}) == 1);               // SMLAL r4, r5, r1, r2
  CHECK(cycles_of({0xFBB2, 0xF1F1}) == 2);               // UDIV 3 / 7: no quotient bits
  CHECK(cycles_of({0x3901, 0xFBB1, 0xF1F2}) == 1 + 3);   // 6 / 3: two bits
  CHECK(cycles_of({0x2101, 0xFBB0, 0xF1F1}) == 1 + 12);  // a quotient of 30 bits
}

void cortex_m3_multiplies_longer() {
  const Board board = ideal_board(CoreKind::cortex_m3);
  CHECK(cycles_of({0x4341}, board) == 1);
  CHECK(cycles_of({0xFB01, 0x1102}, board) == 2);  // MLA
  CHECK(cycles_of({0xFBA1, 0x4502}, board) == 4);  // UMULL
  CHECK(cycles_of({0xFBC1, 0x4502}, board) == 5);  // SMLAL
}

void unaligned_wide_instructions_wait_for_fetches() {
  // ADD.W r1, r1, r2 at 2 (mod 4): the third one in a row, and again.
  CHECK(cycles_of({kNop, 0xEB01, 0x0102, 0xEB01, 0x0102}) == 3);
  CHECK(cycles_of({kNop, 0xEB01, 0x0102, 0xEB01, 0x0102, 0xEB01, 0x0102}) == 5);
  CHECK(cycles_of({0xEB01, 0x0102, 0xEB01, 0x0102, 0xEB01, 0x0102}) == 3);  // aligned
  // B to an aligned and to an unaligned one.
  CHECK(cycles_of({0xE000, kNop, 0xEB01, 0x0102}) == 3);
  CHECK(cycles_of({0xE001, kNop, kNop, 0xEB01, 0x0102}) == 4);
}

void conditions() {
  // CMP r1, r2 (7, 3); IT EQ; MOVEQ r0, r0: not executed, but its slot passes. IT is at an even word, then an
  // odd one.
  CHECK(cycles_of({0x4291, 0xBF08, 0x4600}) == 2);
  CHECK(cycles_of({kNop, 0x4291, 0xBF08, 0x4600}) == 4);
  CHECK(call(image_of({0x4291, 0xBF08, 0x4600, kReturn}), ideal_board()).instructions == 4);
}

void unaligned_data() {
  const auto load_at = [](uint32_t offset) {
    return call(image_of({0x6801, kReturn}), ideal_board(), {kRamBase + offset}).cycles - 3;
  };
  CHECK(load_at(0) == 2 && load_at(1) == 3 && load_at(2) == 3 && load_at(4) == 2);
}

Board flash_board(bool prefetch) {
  Board board = ideal_board();
  board.flash.wait_states = 5;
  board.flash.line_bytes = 16;
  board.flash.i_lines = 4;
  board.flash.d_lines = 2;
  board.flash.prefetch = prefetch;
  return board;
}

/// 15 NOPs and the return: two lines of flash.
Image two_lines() {
  Image image;
  for (int i = 0; i < 15; ++i) append(image.code, kNop);
  append(image.code, kReturn);
  return image;
}

void flash_is_waited_for_once_a_line() {
  const CallResult slow = call(two_lines(), flash_board(false));
  CHECK(slow.cycles == 18 + 2 * 5 && slow.stalls.fetch == 10);
  // The second line was asked for when the first one was entered: 8 cycles hide its 6.
  const CallResult prefetched = call(two_lines(), flash_board(true));
  CHECK(prefetched.cycles == 18 + 5 && prefetched.stalls.fetch == 5);
}

void loops_run_from_the_line_buffers() {
  const Image loop = image_of({0x3801, 0xD1FD, kReturn});
  const CallResult result = call(loop, flash_board(false), {100});
  CHECK(result.cycles == 3 * 100 - 1 + 3 + 5 && result.stalls.fetch == 5);
}

void data_in_flash_is_waited_for() {
  // LDR r1, [pc, #12] (next line), twice: the second one finds it.
  Image image = image_of({0x4903, 0x4903, 0x4770, kNop, kNop, kNop, kNop, kNop, 0x1234, 0x5678});
  const CallResult result = call(image, flash_board(false));
  CHECK(result.stalls.data == 1 + 5);
  CHECK(result.cycles == 5 + (2 + 5) + 1 + 3);
}

void calls_start_cold_and_are_repeatable() {
  const Image image = two_lines();
  Machine machine(elf_of(image), flash_board(true));
  const CallResult first = machine.call(image.base, {}, 1000);
  const CallResult second = machine.call(image.base, {}, 1000);
  CHECK(first.cycles == second.cycles && first.stalls.fetch == second.stalls.fetch);
}

}  // namespace

int main() {
  delay_loop_takes_three_cycles_a_round();
  loads_pipeline();
  stores_and_multiple_transfers();
  computed_addresses_come_late();
  computations();
  cortex_m3_multiplies_longer();
  unaligned_wide_instructions_wait_for_fetches();
  conditions();
  unaligned_data();
  flash_is_waited_for_once_a_line();
  loops_run_from_the_line_buffers();
  data_in_flash_is_waited_for();
  calls_start_cold_and_are_repeatable();
  return lutra::check::finish();
}
