#include "luts/sums/kernels.hpp"

namespace lutra::luts {

#if LUTRA_X86_VARIANTS
const SumKernels& avx2_sums();
const SumKernels& avx512_sums();
#endif

const SumKernels& sum_kernels(Isa isa) {
  require_isa(isa);
#if LUTRA_X86_VARIANTS
  if (isa == Isa::kAvx512 || isa == Isa::kAvx512Vnni) return avx512_sums();
  if (isa == Isa::kAvx2) return avx2_sums();
#endif
  return baseline_sums();
}

}  // namespace lutra::luts
