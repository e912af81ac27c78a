#include "mcu/timing/m7_issue.hpp"

#include <algorithm>
#include <bit>

// Sources of the rules:
//   [LLVM]     ARMScheduleM7.td of the LLVM project: units, latencies, operand stages, what issues alone or
//   first [measured] "pipeline cycle test" of github.com/jnk0le/random, doc/cortex_m7.md: measured on an
//   STM32H743 rev. Y
// Where they differ, what was measured counts. Rules of either that depend on the alignment of instructions
// are not modelled.

namespace lutra::mcu {

namespace {

using namespace m7_unit;
using thumb::Instruction;
using thumb::Operation;
using thumb::Shifter;
using thumb::TimingClass;

constexpr uint32_t mask_of(uint8_t reg) { return reg < thumb::kZero ? 1U << reg : 0U; }

/// A constant that is a byte moved to another place, not repeated: it goes through the shifter. [measured]
bool is_shifted_constant(const Instruction& d) {
  const uint32_t value = d.immediate;
  if (d.bytes != 4 || d.rm != thumb::kZero || value <= 0xff) return false;
  return std::bit_width(value) - std::countr_zero(value) <= 8;
}

/// Comparisons set flags and have no other result.
bool is_comparison(Operation operation) {
  return operation == Operation::tst || operation == Operation::teq || operation == Operation::cmp ||
         operation == Operation::cmn;
}

/// Additions, subtractions and moves can run in the early arithmetic stage of the older instruction.
/// [measured]
bool runs_early(Operation operation) {
  return operation == Operation::add || operation == Operation::sub || operation == Operation::mov;
}

/// The register that goes through the shifter is read a stage early, and then no operand comes from the load
/// unit's fast path. [LLVM: M7Read_ISS, M7Ex1ReadNoFastBypass; measured]
void read_early(M7Issue& issue, uint32_t registers) {
  issue.reads.early |= registers;
  issue.reads.normal &= ~registers;
  issue.reads.guarded |= issue.reads.normal | issue.reads.early;
}

void use_inline_shifter(M7Issue& issue) {
  issue.takes |= kInlineShift;
  issue.excludes |= kInlineShift | kShift;  // [measured: operand2 dual issuing matrix]
}

void describe_alu(M7Issue& issue, const Instruction& d) {
  if (d.operation == Operation::clz) issue.takes |= kOlderOnly;  // [LLVM]
  if (is_shifted_constant(d)) {
    use_inline_shifter(issue);
    return;
  }
  issue.early_as_older = runs_early(d.operation);
}

void describe_shift(M7Issue& issue, const Instruction& d) {
  const bool is_shift = d.operation == Operation::lsl || d.operation == Operation::lsr ||
                        d.operation == Operation::asr || d.operation == Operation::ror ||
                        d.operation == Operation::mov;
  if (is_shift) {
    issue.takes |= kShift;
    issue.early_as_older = issue.early_as_younger = d.shifter != Shifter::rrx;
    return;
  }
  use_inline_shifter(issue);
  if (d.operation == Operation::bfi) {
    issue.takes |= kOlderOnly;  // [LLVM]
    read_early(issue, issue.reads.normal & ~mask_of(d.rd));
    return;
  }
  read_early(issue, mask_of(d.rm));
  if (is_comparison(d.operation)) issue.latency = 2;  // [LLVM: WriteCMPsi]
}

/// Bit fields, extension, packing, parallel arithmetic: one a cycle, as the older of a pair. [LLVM:
/// M7Slot0Only]
void describe_simd(M7Issue& issue, const Instruction& d) {
  issue.takes |= kOlderOnly;
  switch (d.operation) {
    case Operation::sbfx:
    case Operation::ubfx:
    case Operation::rev:
    case Operation::rev16:
    case Operation::revsh:
    case Operation::rbit:
      issue.takes |= kInlineShift;
      read_early(issue, issue.reads.normal);
      break;
    case Operation::sxtab:
    case Operation::sxtah:
    case Operation::uxtab:
    case Operation::uxtah:
    case Operation::sxtab16:
    case Operation::uxtab16:
      if (d.rn == thumb::kZero) break;  // without an addition the operand is read in the normal stage
      [[fallthrough]];
    case Operation::pkhbt:
    case Operation::pkhtb:
      issue.takes |= kInlineShift;
      read_early(issue, mask_of(d.rm));
      break;
    default:
      break;
  }
}

void describe_saturation(M7Issue& issue, const Instruction& d) {
  issue.takes |= kOlderOnly;
  issue.latency = 2;  // [LLVM: M7WriteSIMD2, M7WriteShSIMD2]
  switch (d.operation) {
    case Operation::ssat:
    case Operation::usat:
    case Operation::ssat16:
    case Operation::usat16:
    case Operation::qdadd:
    case Operation::qdsub:
      issue.takes |= kInlineShift;
      read_early(issue, issue.reads.normal);
      break;
    default:
      break;
  }
}

/// One a cycle, never beside a store; the factors cannot be words loaded in the cycle before. [measured]
void describe_multiplication(M7Issue& issue) {
  issue.takes |= kMac;
  issue.excludes |= kMac | kStore;
  issue.latency = 2;  // [LLVM, measured]
  issue.reads.guarded |= issue.reads.normal;
}

/// Whether addressing changes the base register: multiple transfers say so in their variant.
bool writes_back(const Instruction& d) {
  switch (d.timing) {
    case TimingClass::load_multiple:
    case TimingClass::store_multiple:
    case TimingClass::float_load:
    case TimingClass::float_store:
      return d.variant != 0;
    default:
      return d.index != thumb::Index::offset;
  }
}

/// The new base register is known a stage before results. [LLVM: M7BaseUpdate]
void update_base(M7Issue& issue, const Instruction& d) {
  if (writes_back(d)) issue.updated_base = mask_of(d.rn);
}

void describe_load(M7Issue& issue, const Instruction& d, bool word) {
  issue.takes |= kLoad;
  issue.loads_words = word;
  issue.latency = word ? 1 : 2;  // [LLVM: WriteLd, M7SlowLoad]
  update_base(issue, d);
}

/// Stored values are needed so late that any result can be stored in the cycle of its instruction. [measured]
void describe_store(M7Issue& issue, const Instruction& d) {
  issue.takes |= kStore;
  issue.excludes |= kStore | kMac;
  issue.reads.normal &= thumb::kFlags;
  update_base(issue, d);
}

/// Two registers a cycle. [measured; LLVM: M7SingleIssue]
void describe_multiple(M7Issue& issue, const Instruction& d, uint32_t registers) {
  issue.takes |= kAlone;
  issue.cycles = static_cast<uint8_t>((registers + 1) / 2 + (registers == 0 ? 1 : 0));
  update_base(issue, d);
}

uint32_t single(uint32_t reg) { return 1U << (reg & 31U); }

/// Moves between the core's registers and those of the floating-point unit. [measured]
void describe_float_move(M7Issue& issue, const Instruction& d) {
  switch (d.operation) {
    case Operation::vmov_to_core:
      issue.float_reads = single(d.rd);
      issue.latency = 1;
      break;
    case Operation::vmov_pair_to_core:
      issue.float_reads = single(d.rm) | single(d.rm + 1U);
      issue.takes |= kAlone;
      issue.latency = 1;
      break;
    case Operation::vmov_from_core:
      issue.float_results = single(d.rd);
      break;
    case Operation::vmov_pair_from_core:
      issue.float_results = single(d.rm) | single(d.rm + 1U);
      issue.takes |= kAlone;
      break;
    default:
      issue.takes |= kAlone;
      break;  // of the status register [LLVM: M7VMRS]
  }
}

uint32_t float_operands(const Instruction& d) {
  switch (d.operation) {
    case Operation::vmov_immediate:
      return 0;
    case Operation::vmov:
    case Operation::vabs:
    case Operation::vneg:
    case Operation::vsqrt:
    case Operation::vcvt_to_float:
    case Operation::vcvt_to_integer:
    case Operation::vrint:
      return single(d.rm);
    case Operation::vcmp:
      return single(d.rd) | single(d.rm);
    default: {
      const uint32_t accumulator = d.timing == TimingClass::float_accumulate ? single(d.rd) : 0;
      return single(d.rn) | single(d.rm) | accumulator;
    }
  }
}

/// One operation a cycle, beside one of integers. Results can be read after three cycles; that is also when a
/// sum that a multiply-accumulate made can be added to, while its use as a factor (five or six cycles) is
/// taken to be as quick. [measured: table of result latencies; LLVM]
void describe_float(M7Issue& issue, const Instruction& d) {
  issue.takes |= kFloat;
  issue.excludes |= kFloat;
  issue.latency = 3;
  switch (d.operation) {
    case Operation::vmov_to_core:
    case Operation::vmov_from_core:
    case Operation::vmov_pair_to_core:
    case Operation::vmov_pair_from_core:
    case Operation::vmrs:
    case Operation::vmsr:
      describe_float_move(issue, d);
      return;
    default:
      break;
  }
  issue.float_reads = float_operands(d);
  if (d.operation != Operation::vcmp) issue.float_results = single(d.rd);
  if (d.timing == TimingClass::float_divide) {
    issue.takes |= kAlone;
    issue.cycles = d.operation == Operation::vsqrt ? 14 : 16;  // [measured]
  }
}

/// Loaded values can be read in the next cycle; stored ones are needed late. [measured; LLVM: M7Read_EX3]
void describe_float_transfer(M7Issue& issue, const Instruction& d, bool load) {
  const uint32_t count = std::clamp<uint32_t>(d.register_count, 1, 32);
  const auto registers = static_cast<uint32_t>(((uint64_t{1} << count) - 1) << (d.rd & 31U));
  if (load) issue.float_results = registers;
  issue.takes |= load ? kLoad : kStore;
  if (count > 1)
    describe_multiple(issue, d, count);
  else
    update_base(issue, d);
}

}  // namespace

M7Issue describe_m7(const Instruction& d) {
  M7Issue issue;
  issue.results = d.results;
  issue.reads.early = d.early_sources;
  issue.reads.late = d.late_sources;
  issue.reads.normal = d.sources & ~issue.reads.early;

  switch (d.timing) {
    case TimingClass::alu:
      describe_alu(issue, d);
      break;
    case TimingClass::alu_shift:
      describe_shift(issue, d);
      break;
    case TimingClass::simd:
      describe_simd(issue, d);
      break;
    case TimingClass::saturate:
      describe_saturation(issue, d);
      break;
    case TimingClass::multiply:
    case TimingClass::multiply_accumulate:
    case TimingClass::multiply_long:
    case TimingClass::multiply_accumulate_long:
      describe_multiplication(issue);
      break;
    case TimingClass::divide:
      issue.takes |= kAlone;
      break;
    case TimingClass::load:
      describe_load(issue, d, true);
      break;
    case TimingClass::load_narrow:
      describe_load(issue, d, false);
      break;
    case TimingClass::load_double:
      describe_load(issue, d, true);
      describe_multiple(issue, d, 2);
      break;
    case TimingClass::load_multiple:
      describe_load(issue, d, true);
      describe_multiple(issue, d, d.register_count);
      break;
    case TimingClass::store:
    case TimingClass::store_indexed:
      describe_store(issue, d);
      break;
    case TimingClass::store_double:
      describe_store(issue, d);
      describe_multiple(issue, d, 2);
      break;
    case TimingClass::store_multiple:
      describe_store(issue, d);
      describe_multiple(issue, d, d.register_count);
      break;
    case TimingClass::branch:
      issue.takes |= kBranch;
      issue.excludes |= kBranch;
      issue.conditional_branch = d.condition != thumb::kAlways || d.operation != Operation::b;
      issue.reads.normal &= ~thumb::kFlags;  // predicted: it does not wait for them
      break;
    case TimingClass::branch_link:
    case TimingClass::branch_register:
      issue.takes |= kBranch;
      issue.excludes |= kBranch;
      break;
    case TimingClass::branch_table:
      issue.takes |= kAlone | kLoad;
      issue.cycles = 2;  // [LLVM: M7TableLoad]
      break;
    case TimingClass::it:
    case TimingClass::nop:
      break;
    case TimingClass::system:
      issue.takes |= kAlone;
      issue.cycles = 3;  // [LLVM: M7NonGeneralPurpose]
      break;
    case TimingClass::float_simple:
    case TimingClass::float_accumulate:
    case TimingClass::float_divide:
      describe_float(issue, d);
      break;
    case TimingClass::float_load:
      describe_float_transfer(issue, d, true);
      break;
    case TimingClass::float_store:
      describe_float_transfer(issue, d, false);
      break;
  }
  return issue;
}

}  // namespace lutra::mcu
