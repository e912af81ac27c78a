#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace lutra::mcu {

/// The file is no ELF image that Lutra can run; the message says why.
class ElfError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// e_machine of the ELF header.
enum class ElfMachine : uint16_t { arm = 40, riscv = 243 };

struct ElfSegment {
  uint32_t address = 0;
  std::vector<uint8_t> bytes;  ///< what the file holds
  uint32_t memory_bytes = 0;   ///< at least as many; the rest is zero
  bool executable = false;
};

struct ElfSymbol {
  uint32_t address = 0;
  uint32_t bytes = 0;
};

struct ElfImage {
  ElfMachine machine = ElfMachine::arm;
  uint32_t flags = 0;  ///< e_flags
  std::vector<ElfSegment> segments;
  std::map<std::string, ElfSymbol> symbols;  ///< functions, objects and untyped labels, global or local
  int cpu_arch = -1;  ///< Tag_CPU_arch of an Arm image's build attributes; -1 where it has none
};

/// Reads a 32-bit little-endian executable. Throws ElfError for everything else: each offset and size is
/// checked against the file before it is used.
ElfImage parse_elf(std::span<const uint8_t> file);

}  // namespace lutra::mcu
