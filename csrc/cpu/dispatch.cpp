#include "cpu/dispatch.hpp"

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

const KernelTable& baseline_kernels();
#if LUTRA_X86_VARIANTS
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& avx512_vnni_kernels();
#endif

const KernelTable& kernel_table(Isa isa) {
  require_isa(isa);
#if LUTRA_X86_VARIANTS
  if (isa == Isa::kAvx512Vnni) return avx512_vnni_kernels();
  if (isa == Isa::kAvx512) return avx512_kernels();
  if (isa == Isa::kAvx2) return avx2_kernels();
#endif
  return baseline_kernels();
}

}  // namespace lutra::cpu
