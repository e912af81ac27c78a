#include "mcu/memory.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "mcu/text.hpp"
#include "mcu/trap.hpp"

namespace lutra::mcu {

namespace {

std::string access_text(const char* what, uint32_t address, uint64_t bytes) {
  return std::string(what) + " of " + std::to_string(bytes) + " bytes at " + hex(address);
}

std::string outside_text(const char* what, uint32_t address, uint64_t bytes) {
  return access_text(what, address, bytes) + " is outside the board's flash and RAM";
}

[[noreturn]] void fault_outside(const char* what, uint32_t address, uint32_t bytes) {
  throw AccessFault{TrapKind::out_of_range, address, outside_text(what, address, bytes)};
}

}  // namespace

Memory::Memory(const Board& board) : flash_base_(board.flash.base), flash_size_(board.flash.size) {
  for (const RamBoard& ram : board.ram) regions_.push_back({ram.base, ram.size, allocate(ram.size)});
  regions_.push_back({flash_base_, flash_size_, allocate(flash_size_)});
}

/// calloc leaves it to the system to clear pages when they are first touched: machines are many, and use
/// little.
uint8_t* Memory::allocate(uint32_t bytes) {
  storage_.emplace_back(static_cast<uint8_t*>(std::calloc(bytes, 1)));
  if (!storage_.back()) throw std::bad_alloc();
  return storage_.back().get();
}

const Memory::Region* Memory::region_of(uint32_t address, uint64_t bytes) const {
  for (const Region& region : regions_)
    if (const uint32_t offset = address - region.base; offset < region.size && region.size - offset >= bytes)
      return &region;
  return nullptr;
}

bool Memory::contains(uint32_t address, uint64_t bytes) const { return region_of(address, bytes) != nullptr; }

const uint8_t* Memory::readable_elsewhere(uint32_t address, uint32_t bytes) const {
  const Region* region = region_of(address, bytes);
  if (!region) fault_outside("load", address, bytes);
  return region->data + (address - region->base);
}

uint8_t* Memory::writable_elsewhere(uint32_t address, uint32_t bytes) {
  const Region* region = region_of(address, bytes);
  if (!region) fault_outside("store", address, bytes);
  if (in_flash(address))
    throw AccessFault{TrapKind::store_to_flash, address,
                      access_text("store", address, bytes) + " hits flash"};
  for (const Range& code : code_)
    // Wrapping arithmetic: the store starts inside the range, or the range inside the store.
    if (address - code.base < code.size || code.base - address < bytes)
      throw AccessFault{TrapKind::store_to_flash, address,
                        access_text("store", address, bytes) + " hits the program's own code"};
  return region->data + (address - region->base);
}

void Memory::write(uint32_t address, std::span<const uint8_t> bytes) {
  const Region* region = region_of(address, bytes.size());
  if (!region) throw std::out_of_range(outside_text("write", address, bytes.size()));
  std::copy(bytes.begin(), bytes.end(), region->data + (address - region->base));
}

std::vector<uint8_t> Memory::read(uint32_t address, uint32_t bytes) const {
  const Region* region = region_of(address, bytes);
  if (!region) throw std::out_of_range(outside_text("read", address, bytes));
  const uint8_t* first = region->data + (address - region->base);
  return {first, first + bytes};
}

void Memory::protect_code(uint32_t base, uint32_t size) { code_.push_back({base, size}); }

}  // namespace lutra::mcu
