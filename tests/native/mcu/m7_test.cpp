#include "mcu/timing/m7.hpp"

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "check.hpp"
#include "mcu/board.hpp"
#include "mcu/thumb/decode.hpp"
#include "mcu/timing/retirement.hpp"

// Cycle counts that follow from the rules in m7_issue.cpp, m7.hpp and m7_memory.cpp.

using namespace lutra::mcu;

namespace {

constexpr std::uint32_t kTcm = 0x20000000;
constexpr std::uint32_t kCode = kTcm + 0x8000;  // tightly coupled, so that fetching costs nothing
constexpr std::uint32_t kRam = 0x24000000;
constexpr std::uint32_t kFlash = 0x08000000;

Board board() {
  Board board;
  board.core = CoreKind::cortex_m7;
  board.flash = {.base = kFlash, .size = 1U << 20, .wait_states = 7, .line_bytes = 32};
  board.ram = {{.base = kTcm, .size = 1U << 16, .tcm = true}, {.base = kRam, .size = 1U << 16}};
  board.icache = {.bytes = 4096, .ways = 2, .line_bytes = 32};
  board.dcache = {.bytes = 4096, .ways = 4, .line_bytes = 32};
  return board;
}

/// An executed instruction.
struct Step {
  std::uint32_t bits;  // two halfwords where the upper one is not 0
  std::uint32_t address = kTcm;
  std::int32_t jumped = 0;  // distance, where it is a taken branch
  bool executed = true;
};

/// Follows `steps` through the core.
class Pipeline {
 public:
  explicit Pipeline(std::uint32_t code = kCode, const Board& on = board()) : timing_(on), pc_(code) {}

  Pipeline& run(std::initializer_list<Step> steps, int times = 1) {
    for (int i = 0; i < times; ++i)
      for (const Step& step : steps) retire(step);
    return *this;
  }

  [[nodiscard]] std::uint64_t cycles() const { return timing_.cycles(); }
  [[nodiscard]] const Stalls& stalls() const { return timing_.stalls(); }

 private:
  void retire(const Step& step) {
    constexpr thumb::Features kFeatures{.fpu = true};
    const bool wide = step.bits > 0xffff;
    const auto d =
        thumb::decode(wide ? step.bits >> 16 : step.bits, step.bits & 0xffff, pc_, false, kFeatures);
    CHECK(d.operation != thumb::Operation::undefined);
    CHECK(d.operation != thumb::Operation::unpredictable);
    const bool taken = step.jumped != 0;
    const std::uint32_t next = taken ? pc_ + static_cast<std::uint32_t>(step.jumped) : pc_ + d.bytes;
    timing_.retire(
        d, {.pc = pc_, .next = next, .address = step.address, .executed = step.executed, .taken = taken});
    pc_ = next;
  }

  M7Timing timing_;
  std::uint32_t pc_;
};

std::uint64_t cycles(std::initializer_list<Step> steps) { return Pipeline().run(steps).cycles(); }

// Wide encodings throughout, as clang assembles the text behind them.
constexpr Step kAdd{0xeb010002};              // add r0, r1, r2
constexpr Step kAddOther{0xeb040305};         // add r3, r4, r5
constexpr Step kAddOfR0{0xeb000305};          // add r3, r0, r5
constexpr Step kEor{0xea810002};              // eor r0, r1, r2
constexpr Step kEorOfR0{0xea800305};          // eor r3, r0, r5
constexpr Step kAddShifted{0xeb011002};       // add r0, r1, r2, lsl #4
constexpr Step kAddShiftedOther{0xeb041305};  // add r3, r4, r5, lsl #4
constexpr Step kAddShiftedR0{0xeb041300};     // add r3, r4, r0, lsl #4
constexpr Step kAddBigConstant{0xf50150fe};   // add r0, r1, #0x1fc0
constexpr Step kLsl{0xea4f00c1};              // lsl r0, r1, #3
constexpr Step kLslOther{0xea4f03c4};         // lsl r3, r4, #3
constexpr Step kUxtb{0xfa5ff081};             // uxtb r0, r1
constexpr Step kUxtab{0xfa51f082};            // uxtab r0, r1, r2
constexpr Step kSsat{0xf3010007};             // ssat r0, #8, r1
constexpr Step kMovw{0xf2412034};             // movw r0, #0x1234
constexpr Step kMovt{0xf2c56078};             // movt r0, #0x5678
constexpr Step kMul{0xfb01f002};              // mul r0, r1, r2
constexpr Step kSmlad{0xfb216602};            // smlad r6, r1, r2, r6
constexpr Step kSmladOther{0xfb217702};       // smlad r7, r1, r2, r7
constexpr Step kSmladOfR0{0xfb206602};        // smlad r6, r0, r2, r6
constexpr Step kSdiv{0xfb91f0f2};             // sdiv r0, r1, r2
constexpr Step kBx{0x4770};                   // bx lr
constexpr std::uint32_t kSubs = 0x3c01;       // subs r4, #1

constexpr Step ldr(std::uint32_t address) { return {0xf8d10000, address}; }        // ldr r0, [r1]
constexpr Step ldr_other(std::uint32_t address) { return {0xf8d43000, address}; }  // ldr r3, [r4]
constexpr Step ldrb(std::uint32_t address) { return {0xf8910000, address}; }       // ldrb r0, [r1]
constexpr Step str(std::uint32_t address) { return {0xf8c80000, address}; }        // str r0, [r8]
constexpr Step strb(std::uint32_t address) { return {0xf8885000, address}; }       // strb r5, [r8]
constexpr Step kLdrOfR0{0xf8d03000};                                               // ldr r3, [r0]
constexpr Step kLdrUpdating{0xf8501b04};                                           // ldr r1, [r0], #4
constexpr Step kLdrd{0xe9d20100};                                                  // ldrd r0, r1, [r2]
constexpr Step kLdmOfSix{0xe898003f};                                              // ldm r8, {r0-r5}
constexpr Step kStmOfSix{0xe888003f};                                              // stm r8, {r0-r5}

void pairs_independent_arithmetic() {
  CHECK(cycles({kAdd}) == 1);
  CHECK(cycles({kAdd, kAddOther}) == 1);
  CHECK(cycles({kAdd, kAddOther, kAdd, kAddOther}) == 2);
  CHECK(cycles({kAdd, kAddOther, kAdd}) == 2);
}

void forwards_within_a_pair_from_the_early_stage_only() {
  CHECK(cycles({kAdd, kAddOfR0}) == 1);       // an addition can run early
  CHECK(cycles({kEor, kEorOfR0}) == 2);       // an exclusive or cannot
  CHECK(cycles({kMovw, kMovt}) == 1);         // measured: this pair goes together
  CHECK(cycles({kAdd, kAddShiftedR0}) == 2);  // what is shifted is read too early for that
  CHECK(cycles({kEor, kAddShiftedR0}) == 3);
}

void has_one_shifter_for_operands() {
  CHECK(cycles({kAddShifted, kAddOther}) == 1);
  CHECK(cycles({kAddShifted, kAddShiftedOther}) == 2);
  CHECK(cycles({kAddBigConstant, kAddShiftedOther}) == 2);
  CHECK(cycles({kLsl, kLslOther}) == 1);
  CHECK(cycles({kAddShifted, kLslOther}) == 1);
  CHECK(cycles({kLsl, kAddShiftedOther}) == 2);
}

void issues_simd_as_the_older_one_only() {
  CHECK(cycles({kUxtb, kAddOther}) == 1);
  CHECK(cycles({kAddOther, kUxtb}) == 2);
  CHECK(cycles({kUxtb, kAddShiftedOther}) == 1);
  CHECK(cycles({kUxtab, kAddShiftedOther}) == 2);
  CHECK(cycles({kSsat, kAddOfR0}) == 3);
}

void multiplies_once_a_cycle() {
  CHECK(cycles({kSmlad, kSmladOther}) == 2);
  CHECK(cycles({kSmlad, kSmlad, kSmlad}) == 3);  // accumulators are forwarded
  CHECK(cycles({kSmlad, kAdd}) == 1);
  CHECK(cycles({kMul, kAddOfR0}) == 3);
  CHECK(cycles({kMul, kSmladOfR0}) == 3);  // a factor is not
  CHECK(cycles({kSmlad, strb(kTcm)}) == 2);
}

void loads_two_words_a_cycle_from_different_banks() {
  CHECK(cycles({ldr(kTcm), ldr_other(kTcm + 4)}) == 1);
  CHECK(cycles({ldr(kTcm), ldr_other(kTcm + 8)}) == 2);
  CHECK(cycles({ldr(kTcm), strb(kTcm)}) == 1);
  CHECK(cycles({strb(kTcm), strb(kTcm)}) == 2);
}

void makes_users_of_a_load_wait() {
  CHECK(cycles({ldr(kTcm), kAddOfR0}) == 2);
  CHECK(cycles({ldrb(kTcm), kAddOfR0}) == 3);
  CHECK(cycles({ldr(kTcm), kSmladOfR0}) == 3);  // not on the fast path
  CHECK(cycles({ldr(kTcm), kAddShiftedR0}) == 3);
  CHECK(cycles({ldr(kTcm), kLdrOfR0}) == 3);       // an address is needed a stage early
  CHECK(cycles({ldr(kTcm), str(kTcm + 4)}) == 1);  // what is stored, late
  CHECK(cycles({kEor, kLdrOfR0}) == 3);
  CHECK(cycles({kAdd, kLdrOfR0}) == 2);          // the addition ran early
  CHECK(cycles({kLdrUpdating, kAddOfR0}) == 1);  // so does the new address
  CHECK(Pipeline().run({ldr(kTcm), kAddOfR0}).stalls().interlock == 0);
  CHECK(Pipeline().run({ldr(kTcm), kSmladOfR0}).stalls().interlock == 1);
}

void moves_two_registers_a_cycle() {
  CHECK(cycles({kLdrd, kAddOther}) == 2);
  CHECK(cycles({kAddOther, kLdrd}) == 2);
  CHECK(cycles({Step{kLdrd.bits, kTcm + 4}}) == 1);
  CHECK(cycles({kLdmOfSix}) == 3);
  CHECK(cycles({kStmOfSix}) == 3);
  CHECK(cycles({Step{kStmOfSix.bits, kTcm + 4}}) == 4);
}

void pays_for_unaligned_loads() {
  CHECK(cycles({ldr(kTcm + 1)}) == 1 + 3);
  CHECK(cycles({kAddOther, ldr(kTcm + 1)}) == 1 + 4);
  CHECK(Pipeline().run({ldr(kTcm + 2)}).stalls().data == 3);
}

/// Bytes to one bank: five wait in the store buffer, then each takes four cycles.
void fills_the_store_buffer() {
  CHECK(Pipeline().run({strb(kTcm)}, 5).cycles() == 5);
  const std::uint64_t few = Pipeline().run({strb(kTcm)}, 100).cycles();
  CHECK(Pipeline().run({strb(kTcm)}, 200).cycles() - few == 400);
  const std::uint64_t pairs = Pipeline().run({strb(kTcm), strb(kTcm + 4)}, 50).cycles();
  CHECK(Pipeline().run({strb(kTcm), strb(kTcm + 4)}, 100).cycles() - pairs == 200);
  CHECK(Pipeline().run({str(kTcm)}, 100).cycles() == 100);
}

/// subs; bne back: a loop of two instructions that the predictor knows.
Pipeline loop(int rounds, bool early_flags) {
  Pipeline pipeline;
  for (int i = 0; i < rounds; ++i) {
    const bool again = i < rounds - 1;
    pipeline.run({{kSubs}});
    if (early_flags) pipeline.run({kAdd, kAddOther, kAdd, kAddOther, kAdd, kAddOther, kAdd});
    pipeline.run({{early_flags ? 0xf47fafefU : 0xd1fdU, kTcm, again ? (early_flags ? -30 : -2) : 0}});
  }
  return pipeline;
}

void predicts_loops() {
  const std::uint64_t ten = loop(10, false).cycles();
  CHECK(loop(20, false).cycles() - ten == 10);  // a cycle a round
  CHECK(loop(10, false).stalls().branch == 8);  // left once, right after the comparison
  CHECK(loop(10, true).stalls().branch == 6);   // left when the flags have long been known
}

void returns_with_a_bubble() {
  CHECK(Pipeline().run({Step{kBx.bits, kTcm, 64}, kAdd}).cycles() == 1 + 1 + 1);
}

void divides_until_nothing_is_left() {
  CHECK(cycles({kSdiv}) == 2);
  CHECK(cycles({kSdiv, kAddOther}) == 3);
}

void takes_three_cycles_for_floating_point() {
  constexpr Step kVadd{0xee300a81};        // vadd.f32 s0, s1, s2
  constexpr Step kVaddOfS0{0xee701a01};    // vadd.f32 s3, s0, s2
  constexpr Step kVmovToCore{0xee100a10};  // vmov r0, s0
  CHECK(cycles({kVadd, kAddOther}) == 1);
  CHECK(cycles({kVadd, kVadd}) == 2);
  CHECK(cycles({kVadd, kVaddOfS0}) == 4);
  CHECK(cycles({kVmovToCore, kAddOfR0}) == 2);
  CHECK(cycles({{0xee801a81}, kAddOther}) == 17);  // vdiv.f32 s2, s1, s2
}

void fills_cache_lines() {
  constexpr std::uint32_t kMissRam = 10, kMissFlash = 16;  // with one bus cycle a core cycle
  CHECK(Pipeline().run({ldr(kRam)}).stalls().data == kMissRam);
  CHECK(Pipeline().run({ldr(kRam), ldr_other(kRam + 28)}).stalls().data == kMissRam);
  CHECK(Pipeline().run({ldr(kFlash), ldr_other(kFlash + 32)}).stalls().data == 2 * kMissFlash);
  CHECK(Pipeline().run({ldr(kRam + 30)}).stalls().data == 2 * kMissRam + 3);
  CHECK(Pipeline().run({strb(kRam), ldr(kRam)}).stalls().data == 0);  // the store brought the line
  CHECK(Pipeline().run({ldr(kTcm)}).stalls().data == 0);

  Board slow = board();
  slow.bus_divider = 2;
  CHECK(Pipeline(kCode, slow).run({ldr(kFlash)}).stalls().data == 2 * kMissFlash);

  // 64 instructions of 4 bytes are eight lines.
  CHECK(Pipeline(kFlash).run({kAdd, kAddOther}, 32).stalls().fetch == 8 * kMissFlash);
  CHECK(Pipeline(kFlash).run({kAdd, kAddOther}, 32).cycles() == 32 + 8 * kMissFlash);
}

void forgets_everything_on_reset() {
  M7Timing timing(board());
  const auto d = thumb::decode(0xf8d1, 0x0000, kFlash, false, {});
  std::uint64_t first = 0;
  for (int i = 0; i < 3; ++i) {
    timing.reset();
    timing.retire(d, {.pc = kFlash, .next = kFlash + 4, .address = kRam});
    if (i == 0) first = timing.cycles();
    CHECK(timing.cycles() == first);
  }
}

void looks_at_changed_code_again() {
  M7Timing timing(board());
  for (const std::uint32_t first : {0xeb01U, 0xfb01U}) {  // add r0, r1, r2; mul r0, r1, r2 (0xf002)
    timing.reset();
    const auto d = thumb::decode(first, first == 0xeb01U ? 0x0002 : 0xf002, kCode, false, {});
    const auto use = thumb::decode(0xeb00, 0x0305, kCode + 4, false, {});
    timing.retire(d, {.pc = kCode, .next = kCode + 4});
    timing.retire(use, {.pc = kCode + 4, .next = kCode + 8});
    CHECK(timing.cycles() == (first == 0xeb01U ? 1 : 3));
  }
}

/// Whatever is executed, in whatever order: time passes, at most two instructions a cycle, and stalls are
/// part of it.
void is_sound_for_any_instructions() {
  std::mt19937 random(7);
  M7Timing timing(board());
  std::uint64_t before = 0;
  constexpr int kCount = 200000;
  bool sound = true;
  for (int i = 0; i < kCount; ++i) {
    const auto first = static_cast<std::uint32_t>(random() & 0xffff);
    const auto d =
        thumb::decode(first, static_cast<std::uint32_t>(random() & 0xffff), kCode, false, {.fpu = true});
    const auto pc = static_cast<std::uint32_t>(random()) & ~1U;
    timing.retire(d, {.pc = pc,
                      .next = static_cast<std::uint32_t>(random()),
                      .address = static_cast<std::uint32_t>(random()),
                      .operand = static_cast<std::uint32_t>(random() % 33),
                      .executed = random() % 8 != 0,
                      .taken = random() % 8 == 0});
    sound = sound && timing.cycles() >= before;
    before = timing.cycles();
  }
  CHECK(sound);
  CHECK(2 * (timing.cycles() - timing.stalls().total()) >= kCount);
}

}  // namespace

int main() {
  pairs_independent_arithmetic();
  forwards_within_a_pair_from_the_early_stage_only();
  has_one_shifter_for_operands();
  issues_simd_as_the_older_one_only();
  multiplies_once_a_cycle();
  loads_two_words_a_cycle_from_different_banks();
  makes_users_of_a_load_wait();
  moves_two_registers_a_cycle();
  pays_for_unaligned_loads();
  fills_the_store_buffer();
  predicts_loops();
  returns_with_a_bubble();
  divides_until_nothing_is_left();
  takes_three_cycles_for_floating_point();
  fills_cache_lines();
  forgets_everything_on_reset();
  looks_at_changed_code_again();
  is_sound_for_any_instructions();
  return lutra::check::finish();
}
