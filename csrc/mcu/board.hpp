#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lutra::mcu {

enum class CoreKind : uint8_t { cortex_m0plus, cortex_m3, cortex_m4, cortex_m33, cortex_m7, rv32imc };

std::string_view core_name(CoreKind core);

/// Throws std::invalid_argument that lists the known names.
CoreKind core_named(std::string_view name);

/// Program memory with the line buffers that its controller keeps (ST's "ART" and the like).
struct FlashBoard {
  uint32_t base = 0x08000000;
  uint32_t size = 0;
  uint32_t wait_states = 0;  ///< cycles beyond one of a read that no buffer holds
  uint32_t line_bytes = 16;  ///< width of one read
  uint32_t i_lines = 0;      ///< lines kept for instructions, fully associative; 0: only the current one
  uint32_t d_lines = 0;      ///< lines kept for data
  bool prefetch = false;     ///< the next line is read while this one executes
  uint32_t d_extra = 0;      ///< cycles that a data read takes beyond `wait_states`
};

struct RamBoard {
  uint32_t base = 0x20000000;
  uint32_t size = 0;
  bool tcm = false;  ///< tightly coupled: never cached, never waits
};

/// A cache of the core itself (Cortex-M7); of no bytes where the core has none.
struct CacheBoard {
  uint32_t bytes = 0;
  uint32_t ways = 0;
  uint32_t line_bytes = 32;
};

/// What a simulation has to know of a microcontroller. The stack starts at the end of the first RAM region.
struct Board {
  CoreKind core = CoreKind::cortex_m4;
  bool fpu = false;  ///< single-precision floating point
  FlashBoard flash;
  std::vector<RamBoard> ram;
  CacheBoard icache;
  CacheBoard dcache;
  uint32_t bus_divider = 1;  ///< core clock over the clock of the bus behind the caches
};

/// Throws std::invalid_argument, naming the field, for a board that cannot exist.
void validate(const Board& board);

}  // namespace lutra::mcu
