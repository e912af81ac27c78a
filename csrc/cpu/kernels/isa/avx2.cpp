// Kernels for AVX2 with FMA.
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

LUTRA_TARGET_BEGIN("avx2,fma")

#define LUTRA_ISA avx2
#define LUTRA_LANES 8
// 16 vector registers: 6 x 2 of C, two of B, one of A.
#define LUTRA_GEMM_ROWS 6
#define LUTRA_GEMM_VECTORS 2
// The same with three vectors of weights: fewer broadcasts from memory per multiply-add.
#define LUTRA_DIRECT_ROWS 4
#define LUTRA_DIRECT_VECTORS 3
#define LUTRA_MULTIPLY_PAIRS(a, b) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#include "cpu/kernels/isa/all.inl"

LUTRA_TARGET_END

namespace lutra::cpu {
const KernelTable& avx2_kernels() { return avx2::kTable; }
}  // namespace lutra::cpu

#endif
