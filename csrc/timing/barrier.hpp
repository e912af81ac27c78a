#pragma once

namespace lutra::timing {

/// Makes the compiler believe that `value` is read and that all memory may have changed, so that the work
/// that produced it cannot be removed or moved across this line. Emits no instruction.
template <typename T>
inline void do_not_optimize(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace lutra::timing
