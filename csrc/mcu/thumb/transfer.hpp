#pragma once

#include <bit>
#include <cstdint>

#include "mcu/memory.hpp"
#include "mcu/text.hpp"
#include "mcu/thumb/state.hpp"
#include "mcu/trap.hpp"

// Semantics of loads and stores.
namespace lutra::mcu::thumb {

inline constexpr uint32_t kWordBytes = 4;

/// Where a single transfer goes, and what its base register holds afterwards. One formula for all modes:
/// absent parts are zero (see kZero); literals have their address as the immediate.
struct Address {
  uint32_t accessed;
  uint32_t base_after;
};

inline Address address_of(const State& state, const Instruction& i) {
  const uint32_t base = state.r[i.rn];
  const uint32_t sum = base + i.immediate + (state.r[i.rm] << i.shift);
  return {i.index == Index::post ? base : sum, sum};
}

inline void write_back(State& state, const Instruction& i, Address address) {
  if (i.index != Index::offset) state.r[i.rn] = address.base_after;
}

inline void require_alignment(uint32_t address, uint32_t bytes) {
  if (address % bytes != 0) [[unlikely]]
    throw AccessFault{TrapKind::misaligned, address,
                      "access of " + std::to_string(bytes) + " bytes at " + hex(address) + " is not aligned"};
}

/// Loads a `Value`, extended to a word as its signedness says. Returns the address accessed.
template <class Value, bool kFaultsUnaligned>
inline uint32_t load_into(State& state, const Memory& memory, const Instruction& i, uint32_t& target) {
  const Address address = address_of(state, i);
  if constexpr (kFaultsUnaligned) require_alignment(address.accessed, sizeof(Value));
  const auto value = memory.load<Value>(address.accessed);
  write_back(state, i, address);
  target = static_cast<uint32_t>(value);
  return address.accessed;
}

template <class Value, bool kFaultsUnaligned>
inline uint32_t store_from(State& state, Memory& memory, const Instruction& i) {
  const Address address = address_of(state, i);
  if constexpr (kFaultsUnaligned) require_alignment(address.accessed, sizeof(Value));
  memory.store<Value>(address.accessed, static_cast<Value>(state.r[i.rd]));
  write_back(state, i, address);
  return address.accessed;
}

// Transfers of several words fault on any core unless word-aligned.

inline uint32_t load_double(State& state, const Memory& memory, const Instruction& i) {
  const Address address = address_of(state, i);
  require_alignment(address.accessed, kWordBytes);
  const auto value = memory.load<uint64_t>(address.accessed);
  write_back(state, i, address);
  state.r[i.rd] = static_cast<uint32_t>(value);
  state.r[i.ra] = static_cast<uint32_t>(value >> 32);
  return address.accessed;
}

inline uint32_t store_double(State& state, Memory& memory, const Instruction& i) {
  const Address address = address_of(state, i);
  require_alignment(address.accessed, kWordBytes);
  memory.store<uint64_t>(address.accessed, uint64_t{state.r[i.ra]} << 32 | state.r[i.rd]);
  write_back(state, i, address);
  return address.accessed;
}

/// Lowest address of a multiple transfer: Index::pre counts down from the base, Index::post up. `variant`
/// says whether the base is written back.
inline Address multiple_address(const State& state, const Instruction& i) {
  const uint32_t base = state.r[i.rn];
  const uint32_t bytes = kWordBytes * i.register_count;
  if (i.index == Index::pre) return {base - bytes, base - bytes};
  return {base, base + bytes};
}

/// Loads the registers of the list; r[15] receives the pc where the list has it.
inline uint32_t load_multiple(State& state, const Memory& memory, const Instruction& i) {
  const Address address = multiple_address(state, i);
  require_alignment(address.accessed, kWordBytes);
  const uint8_t* from = memory.readable(address.accessed, kWordBytes * i.register_count);
  if (i.variant) state.r[i.rn] = address.base_after;
  for (uint32_t list = i.immediate; list != 0; list &= list - 1, from += kWordBytes)
    std::memcpy(&state.r[static_cast<size_t>(std::countr_zero(list))], from, kWordBytes);
  return address.accessed;
}

inline uint32_t store_multiple(State& state, Memory& memory, const Instruction& i) {
  const Address address = multiple_address(state, i);
  require_alignment(address.accessed, kWordBytes);
  uint8_t* to = memory.writable(address.accessed, kWordBytes * i.register_count);
  for (uint32_t list = i.immediate; list != 0; list &= list - 1, to += kWordBytes)
    std::memcpy(to, &state.r[static_cast<size_t>(std::countr_zero(list))], kWordBytes);
  if (i.variant) state.r[i.rn] = address.base_after;
  return address.accessed;
}

}  // namespace lutra::mcu::thumb
