// Kernels for AVX2 with FMA.
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

LUTRA_TARGET_BEGIN(LUTRA_TARGET_AVX2)

#define LUTRA_ISA avx2
#define LUTRA_LANES 8
// 16 vector registers: 6 x 2 of C, two of B, one of A.
#define LUTRA_GEMM_ROWS 6
#define LUTRA_GEMM_VECTORS 2
// The same with three vectors of weights: fewer broadcasts from memory per multiply-add.
#define LUTRA_DIRECT_ROWS 4
#define LUTRA_DIRECT_VECTORS 3
#define LUTRA_MULTIPLY_PAIRS(a, b) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#define LUTRA_PACK_BYTES(v)                                                                             \
  _mm_packus_epi16(                                                                                     \
      _mm_packs_epi32(_mm256_castsi256_si128((__m256i)(v)), _mm256_extracti128_si256((__m256i)(v), 1)), \
      _mm_setzero_si128())
#define LUTRA_WIDEN_BYTES(v) _mm256_cvtepu8_epi32(v)
#include "cpu/kernels/isa/all.inl"

LUTRA_TARGET_END

namespace lutra::cpu {
const KernelTable& avx2_kernels() { return avx2::kTable; }
}  // namespace lutra::cpu

#endif
