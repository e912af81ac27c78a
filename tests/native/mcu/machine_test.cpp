#include "mcu/machine.hpp"

#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "cortex.hpp"
#include "mcu/trap.hpp"

using namespace lutra::mcu;
using namespace lutra::mcu::testing;

namespace {

constexpr uint16_t kNop = 0xBF00;

struct Caught {
  TrapKind kind;
  uint32_t pc;
  uint32_t address;
};

/// The trap that the code ends in.
Caught trap_of(const Image& image, std::initializer_list<uint32_t> arguments = {}) {
  try {
    call(image, ideal_board(), arguments);
  } catch (const Trap& trap) {
    return {trap.kind(), trap.pc(), trap.address()};
  }
  CHECK(!"trapped");
  return {};
}

void arguments_and_results_pass() {
  const Image image = image_of({0x1840, 0x1880, 0x18C0, kReturn});  // r0 += r1; r0 += r2; r0 += r3
  CHECK(call(image, ideal_board(), {1, 20, 300, 4000}).value == 4321);
  Machine machine(elf_of(image), ideal_board());
  const std::vector<uint32_t> five(5);
  CHECK_THROWS(std::invalid_argument, machine.call(image.base, five, 100));
}

void memory_is_shared_with_the_host() {
  const Image image = image_of({0x6801, 0x3101, 0x6001, kReturn});  // ++*r0
  Machine machine(elf_of(image), ideal_board());
  machine.write(kRamBase, std::vector<uint8_t>{0xFF, 0, 0, 0});
  machine.call(image.base, std::vector<uint32_t>{kRamBase}, 100);
  CHECK((machine.read(kRamBase, 4) == std::vector<uint8_t>{0, 1, 0, 0}));
  CHECK_THROWS(std::out_of_range, machine.read(kRamBase + 0x3FFF, 2));
  CHECK_THROWS(std::out_of_range, machine.write(0, std::vector<uint8_t>(1)));
}

void traps_name_instruction_and_address() {
  const Caught store = trap_of(image_of({kNop, 0x6001}), {kFlashBase + 0x100});  // STR r1, [r0]
  CHECK(store.kind == TrapKind::store_to_flash && store.pc == kFlashBase + 2 &&
        store.address == kFlashBase + 0x100);
  const Caught load = trap_of(image_of({0x6801}), {0x40000000});
  CHECK(load.kind == TrapKind::out_of_range && load.pc == kFlashBase && load.address == 0x40000000);
  const Caught split = trap_of(image_of({0x6801}), {kRamBase + (1U << 14) - 2});  // half inside
  CHECK(split.kind == TrapKind::out_of_range);
  CHECK(trap_of(image_of({0xDE00})).kind == TrapKind::undefined_instruction);
  CHECK(trap_of(image_of({0xBE00})).kind == TrapKind::breakpoint);
  CHECK(trap_of(image_of({0xE8D0, 0x1F4F})).kind == TrapKind::undefined_instruction);  // LDREXB
  CHECK(trap_of(image_of({0xC802}), {kRamBase + 2}).kind == TrapKind::misaligned);     // LDM
}

void leaving_the_code_traps() {
  const Caught past = trap_of(image_of({kNop}));
  CHECK(past.kind == TrapKind::fetch_fault && past.pc == kFlashBase + 2);
  CHECK(trap_of(image_of({kNop, 0xF000})).kind == TrapKind::fetch_fault);  // half an instruction
  const Caught jump = trap_of(image_of({0x4700}), {kRamBase | 1});         // BX r0
  CHECK(jump.kind == TrapKind::fetch_fault && jump.address == kRamBase);
  CHECK(trap_of(image_of({0x4700}), {kFlashBase}).kind == TrapKind::invalid_state);
}

void endless_loops_end_at_the_limit() {
  const Image image = image_of({0xE7FE});  // B to itself
  try {
    call(image, ideal_board(), {}, 1000);
    CHECK(!"trapped");
  } catch (const Trap& trap) {
    CHECK(trap.kind() == TrapKind::cycle_limit && trap.pc() == kFlashBase);
  }
}

void jumps_into_it_blocks_trap() {
  // B to the MOV under IT EQ, whose block is decoded on the way of another call.
  const Image image = image_of({0xE001, 0x4280, 0xBF08, 0x4600, kReturn});
  Machine machine(elf_of(image), ideal_board());
  machine.call(image.base + 2, {}, 100);
  CHECK_THROWS(Trap, machine.call(image.base, {}, 100));
}

void code_in_ram_runs_and_is_protected() {
  const Image image = image_of({0x6001, kReturn}, kRamBase + 0x100);  // STR r1, [r0]
  CHECK(call(image, ideal_board(), {kRamBase, 1}).instructions == 2);
  CHECK(trap_of(image, {kRamBase + 0x100}).kind == TrapKind::store_to_flash);
  CHECK(trap_of(image, {kRamBase + 0xFE}).kind == TrapKind::store_to_flash);  // reaches into it
  CHECK(call(image, ideal_board(), {kRamBase + 0x104, 1}).instructions == 2);
}

void code_that_the_host_replaces_is_decoded_anew() {
  const Image image = image_of({0x2001, kReturn});  // MOVS r0, #1
  Machine machine(elf_of(image), ideal_board());
  CHECK(machine.call(image.base, {}, 100).value == 1);
  machine.write(image.base, std::vector<uint8_t>{2});
  CHECK(machine.call(image.base, {}, 100).value == 2);
}

void boards_that_cannot_exist_are_refused() {
  const std::vector<uint8_t> elf = elf_of(image_of({kReturn}));
  Board board = ideal_board();
  board.ram.clear();
  CHECK_THROWS(std::invalid_argument, Machine(elf, board));
  board = ideal_board();
  board.ram.push_back({.base = kRamBase + 0x1000, .size = 0x1000});
  CHECK_THROWS(std::invalid_argument, Machine(elf, board));
  board = ideal_board();
  board.flash.line_bytes = 24;
  CHECK_THROWS(std::invalid_argument, Machine(elf, board));
  board = ideal_board();
  board.flash.size = 0;
  CHECK_THROWS(std::invalid_argument, Machine(elf, board));
  board = ideal_board();
  board.dcache = {.bytes = 3000, .ways = 4, .line_bytes = 32};
  CHECK_THROWS(std::invalid_argument, Machine(elf, board));
}

}  // namespace

int main() {
  arguments_and_results_pass();
  memory_is_shared_with_the_host();
  traps_name_instruction_and_address();
  leaving_the_code_traps();
  endless_loops_end_at_the_limit();
  jumps_into_it_blocks_trap();
  code_in_ram_runs_and_is_protected();
  code_that_the_host_replaces_is_decoded_anew();
  boards_that_cannot_exist_are_refused();
  return lutra::check::finish();
}
