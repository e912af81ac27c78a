#pragma once

#include <cstdint>

namespace lutra::mcu::thumb {

/// Index of a register that always reads zero, beside r0-r15. Decoded instructions name it where an operand
/// is absent, so that one formula serves all addressing modes and `mla` serves `mul`.
inline constexpr uint8_t kZero = 16;
inline constexpr uint8_t kSp = 13;
inline constexpr uint8_t kLr = 14;
inline constexpr uint8_t kPc = 15;

/// Bit of the register masks below that stands for the flags.
inline constexpr uint32_t kFlags = 1U << 16;

inline constexpr uint8_t kAlways = 14;  ///< the condition that always holds

/// What an instruction does. Aliases share one (see kZero); so do immediate and register forms: the second
/// operand of the data-processing group is r[rm] + immediate, put through the shifter.
enum class Operation : uint8_t {
  undefined,
  unpredictable,
  end_of_code,
  breakpoint,
  nop,
  it,
  // data processing
  and_,
  bic,
  orr,
  orn,
  eor,
  add,
  adc,
  sbc,
  sub,
  rsb,
  mov,
  mvn,
  tst,
  teq,
  cmp,
  cmn,
  movt,
  lsl,
  lsr,
  asr,
  ror,
  // bit fields, extension, packing
  sbfx,
  ubfx,
  bfi,
  sxtab,
  sxtah,
  uxtab,
  uxtah,
  sxtab16,
  uxtab16,
  pkhbt,
  pkhtb,
  rev,
  rev16,
  revsh,
  rbit,
  clz,
  // saturation and parallel arithmetic
  ssat,
  usat,
  ssat16,
  usat16,
  qadd,
  qdadd,
  qsub,
  qdsub,
  parallel,
  sel,
  // multiplication and division
  mul,
  mla,
  mls,
  smlaxy,
  smlawy,
  smlad,
  smlsd,
  smmla,
  smmls,
  usada8,
  smull,
  umull,
  smlal,
  umlal,
  umaal,
  smlalxy,
  smlald,
  smlsld,
  sdiv,
  udiv,
  // loads and stores
  ldr,
  ldrb,
  ldrh,
  ldrsb,
  ldrsh,
  ldrd,
  ldm,
  str,
  strb,
  strh,
  strd,
  stm,
  // control flow
  b,
  bl,
  bx,
  blx,
  cbz,
  cbnz,
  tbb,
  tbh,
  branch_sum,
  ldr_pc,
  ldm_pc,
  // system
  mrs,
  msr,
  // single-precision floating point
  vmov,
  vmov_immediate,
  vmov_to_core,
  vmov_from_core,
  vmov_pair_to_core,
  vmov_pair_from_core,
  vmrs,
  vmsr,
  vabs,
  vneg,
  vsqrt,
  vadd,
  vsub,
  vmul,
  vnmul,
  vdiv,
  vmla,
  vmls,
  vnmla,
  vnmls,
  vfma,
  vfms,
  vfnma,
  vfnms,
  vcmp,
  vcvt_to_float,
  vcvt_to_integer,
  vrint,
  vmaxnm,
  vminnm,
  vsel,
  vldm,
  vstm,
};

/// What the timing policies distinguish. Computations on core registers come first.
enum class TimingClass : uint8_t {
  alu,
  alu_shift,  ///< with the barrel shifter
  simd,       ///< extension, packing, parallel arithmetic
  saturate,   ///< SIMD with a result one cycle later on dual-issue cores
  multiply,
  multiply_accumulate,
  multiply_long,
  multiply_accumulate_long,
  divide,
  load,         ///< of a word
  load_narrow,  ///< of a byte or halfword
  load_double,
  load_multiple,
  store,          ///< at a constant offset
  store_indexed,  ///< at a register offset
  store_double,
  store_multiple,
  branch,  ///< to a fixed target
  branch_link,
  branch_register,
  branch_table,
  it,
  nop,
  system,
  float_simple,
  float_accumulate,
  float_divide,
  float_load,
  float_store,
};

inline bool is_computation(TimingClass timing) { return timing <= TimingClass::divide; }

enum class Shifter : uint8_t {
  none,
  immediate_carry,  ///< the carry is bit 31 of a rotated immediate
  lsl,
  lsr,
  asr,
  ror,
  rrx,
};

enum class Index : uint8_t {
  offset,  ///< at base + offset; the base stays
  pre,     ///< at base + offset, which becomes the base
  post,    ///< at the base, which then grows by the offset
};

/// One decoded instruction, ready to execute.
struct Instruction {
  uint32_t immediate = 0;      ///< a constant, offset, branch target, literal's address or register list
  uint32_t sources = 0;        ///< mask of registers that are read when it executes; kFlags: reads flags
  uint32_t results = 0;        ///< mask of registers that are written; kFlags: writes flags
  uint16_t early_sources = 0;  ///< registers that form an address: needed one pipeline stage early
  uint16_t late_sources = 0;   ///< registers that are accumulated to: needed one stage late
  Operation operation = Operation::undefined;
  TimingClass timing = TimingClass::alu;
  uint8_t rd = kZero;  ///< result, or what is stored
  uint8_t rn = kZero;  ///< first operand or base
  uint8_t rm = kZero;  ///< second operand or offset
  uint8_t ra = kZero;  ///< accumulator, high word of a long result, or second of two transferred
  uint8_t condition = kAlways;
  uint8_t bytes = 0;  ///< length: 2 or 4; 0 where nothing is decoded yet
  Shifter shifter = Shifter::none;
  uint8_t shift = 0;           ///< amount
  uint8_t register_count = 0;  ///< of a multiple transfer
  uint8_t access_bytes = 0;    ///< of a single load or store
  Index index = Index::offset;
  bool sets_flags = false;
  bool in_it_block = false;
  uint8_t variant = 0;  ///< tells close relatives apart: halves of `smlaxy`, lanes of `parallel`, rounding
};

static_assert(sizeof(Instruction) == 32);

}  // namespace lutra::mcu::thumb
