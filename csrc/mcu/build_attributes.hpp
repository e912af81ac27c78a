#pragma once

#include <cstdint>
#include <span>

namespace lutra::mcu {

/// Values of Tag_CPU_arch that microcontrollers have.
enum class CpuArch : int {
  v6m = 11,
  v6sm = 12,
  v7 = 10,
  v7em = 13,
  v8m_base = 16,
  v8m_main = 17,
  v81m_main = 21
};

/// Tag_CPU_arch of an `.ARM.attributes` section ("Addenda to, and errata in, the ABI for the Arm
/// architecture", "Build attributes"), or -1 where the section does not have it or cannot be read.
int cpu_arch_of(std::span<const uint8_t> section);

}  // namespace lutra::mcu
