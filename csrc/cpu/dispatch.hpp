#pragma once

#include "isa/isa.hpp"

namespace lutra::cpu {

struct KernelTable;

/// The kernels compiled for `isa` from kernels/isa/*.inl. Throws std::invalid_argument where this machine
/// cannot run them.
const KernelTable& kernel_table(Isa isa);

}  // namespace lutra::cpu
