#include "mcu/riscv/core.hpp"

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "check.hpp"
#include "mcu/board.hpp"
#include "mcu/memory.hpp"
#include "mcu/riscv/timing.hpp"
#include "mcu/trap.hpp"

using namespace lutra::mcu;
using riscv::Core;
using riscv::InOrderTiming;

namespace {

constexpr std::uint32_t kFlash = 0x42000000;
constexpr std::uint32_t kRam = 0x3fc80000;
constexpr std::uint64_t kLimit = 1000000;

using Arguments = std::initializer_list<std::uint32_t>;

Board board(std::uint32_t miss_cycles = 0) {
  Board board;
  board.core = CoreKind::rv32imc;
  board.flash = {.base = kFlash, .size = 4096, .wait_states = miss_cycles, .line_bytes = 32};
  board.ram = {{.base = kRam, .size = 4096}};
  board.icache = {.bytes = 1024, .ways = 8, .line_bytes = 32};
  return board;
}

/// Code of 32-bit and (where the lowest bits are not 11) compressed instructions, at the start of flash.
std::vector<std::uint8_t> bytes_of(const std::vector<std::uint32_t>& code) {
  std::vector<std::uint8_t> bytes;
  for (const std::uint32_t bits : code)
    for (unsigned i = 0; i < ((bits & 3U) == 3U ? 4U : 2U); ++i)
      bytes.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
  return bytes;
}

class Program {
 public:
  Program(const std::vector<std::uint8_t>& code, const Board& board) : memory_(board) {
    memory_.write(kFlash, code);
    image_.machine = ElfMachine::riscv;
    image_.segments.push_back({kFlash, code, static_cast<std::uint32_t>(code.size()), true});
    core_.emplace(board, memory_, image_);
  }

  CallResult call(Arguments arguments = {}, std::uint64_t limit = kLimit) {
    return core_->call({.function = kFlash,
                        .arguments = {arguments.begin(), arguments.size()},
                        .stack_top = kRam + 4096,
                        .cycle_limit = limit});
  }

  Memory& memory() { return memory_; }

 private:
  Memory memory_;
  ElfImage image_;
  std::optional<Core<InOrderTiming>> core_;
};

CallResult run(const std::vector<std::uint32_t>& code, Arguments arguments = {}, const Board& on = board()) {
  return Program(bytes_of(code), on).call(arguments);
}

constexpr std::uint32_t kRet = 0x8082;
constexpr std::uint32_t kNop = 0x0001;

// --- results ---

std::uint32_t of_two(std::uint32_t instruction, std::uint32_t a, std::uint32_t b) {
  return run({instruction, kRet}, {a, b}).value;
}

void divides_as_the_manual_says() {
  constexpr std::uint32_t kDiv = 0x02b54533, kDivu = 0x02b55533, kRem = 0x02b56533,
                          kRemu = 0x02b57533;  // a0, a0, a1
  constexpr std::uint32_t kMin = 0x80000000, kMinusOne = 0xffffffff;
  CHECK(of_two(kDiv, 7, static_cast<std::uint32_t>(-2)) == static_cast<std::uint32_t>(-3));
  CHECK(of_two(kRem, static_cast<std::uint32_t>(-7), 2) == kMinusOne);
  CHECK(of_two(kDivu, kMinusOne, 2) == 0x7fffffff);
  CHECK(of_two(kRemu, kMinusOne, 16) == 15);
  CHECK(of_two(kDiv, 5, 0) == kMinusOne);
  CHECK(of_two(kDivu, 5, 0) == kMinusOne);
  CHECK(of_two(kRem, 5, 0) == 5);
  CHECK(of_two(kRemu, 5, 0) == 5);
  CHECK(of_two(kDiv, kMin, kMinusOne) == kMin);
  CHECK(of_two(kRem, kMin, kMinusOne) == 0);
}

void multiplies_all_signs() {
  constexpr std::uint32_t kMulh = 0x02b51533, kMulhsu = 0x02b52533, kMulhu = 0x02b53533;
  constexpr std::uint32_t kMin = 0x80000000, kMinusOne = 0xffffffff;
  CHECK(of_two(0x02b50533, 0x10001, 0x10001) == 0x20001);  // mul
  CHECK(of_two(kMulh, kMin, kMin) == 0x40000000);
  CHECK(of_two(kMulh, kMinusOne, kMinusOne) == 0);
  CHECK(of_two(kMulhsu, kMinusOne, kMinusOne) == kMinusOne);
  CHECK(of_two(kMulhu, kMinusOne, kMinusOne) == 0xfffffffe);
}

void keeps_x0_at_zero() {
  CHECK(run({0x00700013, 0x00050513, 0x00006533, kRet}, {5}).value ==
        0);  // addi x0, x0, 7; mv; or a0, x0, x0
}

void links_and_returns() {
  // jal ra, .+8; ret; (ra is the ret above:) addi a0, a0, 1; jr t0 - with t0 taking ra's first value
  CHECK(run({0x00008293, 0x008000ef, 0x00028067, 0x00150513, kRet}, {41}).value == 42);
}

void stores_and_loads_all_sizes() {
  // sb a1, 1(a0); lw a0, 0(a0)
  Program program(bytes_of({0x00b500a3, 0x00052503, kRet}), board());
  program.memory().store<std::uint32_t>(kRam, 0x11223344);
  CHECK(program.call({kRam, 0x1ff}).value == 0x1122ff44);
  CHECK(run({0x00b51023, 0x00051503, kRet}, {kRam, 0x18001}).value == 0xffff8001);  // sh; lh
  CHECK(run({0x00b52123, 0x00255503, kRet}, {kRam, 0x18001}).value == 0x8001);      // sw; lhu, unaligned
}

// --- cycles: each follows from the rules in riscv/timing.hpp ---

void counts_straight_code() {
  const CallResult result = run({kNop, kNop, kNop, kRet});
  CHECK(result.instructions == 4);
  CHECK(result.cycles == 3 + 2);
  CHECK(result.stalls.branch == 1);
}

/// addi a0, a0, -1; nop; bnez a0, .-4: the loop that was measured on the ESP32-C3.
void counts_a_loop() {
  const CallResult result = run({0x157d, kNop, 0xfd75, kRet}, {1000});
  CHECK(result.cycles == 999 * (1 + 1 + 3) + (1 + 1 + 1) + 2);
  CHECK(result.stalls.branch == 999 * 2 + 1);
}

void counts_a_load_and_its_use() {
  constexpr std::uint32_t kLw = 0x00052583, kUse = 0x00158593,
                          kOther = 0x00160613;  // a1 <- (a0); a1 += 1; a2 += 1
  CHECK(run({kLw, kUse, kRet}, {kRam}).cycles == 1 + 2 + 2);
  CHECK(run({kLw, kOther, kUse, kRet}, {kRam}).cycles == 1 + 1 + 1 + 2);
  CHECK(run({kLw, kUse, kRet}, {kRam}).stalls.interlock == 1);
  CHECK(run({kLw, kOther, kRet}, {kRam + 1}).stalls.data == 1);
}

void counts_long_arithmetic() {
  CHECK(run({0x02b50533, kRet}, {6, 7}).cycles == 1 + 2);   // mul
  CHECK(run({0x02b51533, kRet}, {6, 7}).cycles == 2 + 2);   // mulh
  CHECK(run({0x02b54533, kRet}, {6, 7}).cycles == 10 + 2);  // div
}

void waits_for_flash_once_a_line() {
  std::vector<std::uint32_t> code(32, kNop);  // two lines of 32 bytes, and the return in a third
  code.push_back(kRet);
  const CallResult result = run(code, {}, board(40));
  CHECK(result.stalls.fetch == 3 * 40);
  CHECK(result.cycles == 32 + 2 + 3 * 40);
}

void shares_the_cache_between_code_and_data() {
  const std::vector<std::uint32_t> code{0x00052583, kRet};  // lw a1, 0(a0)
  CHECK(run(code, {kFlash}, board(40)).stalls.data == 0);   // the code's own line
  CHECK(run(code, {kFlash + 256}, board(40)).stalls.data == 40);
  CHECK(run(code, {kFlash + 254}, board(40)).stalls.data == 80 + 1);  // across two lines
  CHECK(run(code, {kRam}, board(40)).stalls.data == 0);
}

// --- what goes wrong ---

std::optional<TrapKind> trap_of(const std::vector<std::uint32_t>& code, Arguments arguments,
                                std::uint32_t pc) {
  try {
    Program(bytes_of(code), board()).call(arguments, 1000);
  } catch (const Trap& trap) {
    CHECK(trap.pc() == pc);
    return trap.kind();
  }
  return {};
}

void traps_name_the_instruction() {
  CHECK(trap_of({kNop, 0x0000, kRet}, {}, kFlash + 2) == TrapKind::undefined_instruction);
  CHECK(trap_of({kNop, 0x9002}, {}, kFlash + 2) == TrapKind::breakpoint);
  CHECK(trap_of({0x00000073}, {}, kFlash) == TrapKind::breakpoint);
  CHECK(trap_of({kNop, kNop}, {}, kFlash + 4) == TrapKind::fetch_fault);
  CHECK(trap_of({kNop, 0x00050067}, {kRam}, kFlash + 2) == TrapKind::fetch_fault);  // jr a0
  CHECK(trap_of({kNop, 0xa001}, {}, kFlash + 2) == TrapKind::cycle_limit);          // j .
  CHECK(trap_of({kNop, 0x00052503}, {16}, kFlash + 2) == TrapKind::out_of_range);
  CHECK(trap_of({kNop, 0x00052503}, {kRam + 4093}, kFlash + 2) == TrapKind::out_of_range);
  CHECK(trap_of({kNop, 0x00b52023}, {kFlash}, kFlash + 2) == TrapKind::store_to_flash);
}

void survives_any_code() {
  std::mt19937 random(1);
  const Board on = board(3);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::uint8_t> code(4 + random() % 64);
    for (std::uint8_t& byte : code) byte = static_cast<std::uint8_t>(random());
    Program program(code, on);
    const std::uint32_t somewhere = kRam + static_cast<std::uint32_t>(random() % 5000);
    try {
      const CallResult result = program.call({somewhere, static_cast<std::uint32_t>(random()), kFlash}, 500);
      CHECK(result.cycles == result.instructions + result.stalls.total());
    } catch (const Trap& trap) {
      CHECK(trap.what()[0] != '\0');
    }
  }
}

}  // namespace

int main() {
  divides_as_the_manual_says();
  multiplies_all_signs();
  keeps_x0_at_zero();
  links_and_returns();
  stores_and_loads_all_sizes();
  counts_straight_code();
  counts_a_loop();
  counts_a_load_and_its_use();
  counts_long_arithmetic();
  waits_for_flash_once_a_line();
  shares_the_cache_between_code_and_data();
  traps_name_the_instruction();
  survives_any_code();
  return lutra::check::finish();
}
