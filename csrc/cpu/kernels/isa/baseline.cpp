// Kernels for whatever the compiler targets by default: 4 lanes suit SSE2 and NEON, and lower to scalars
// elsewhere.
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define LUTRA_ISA baseline
#define LUTRA_LANES 4
#if defined(__x86_64__)
#define LUTRA_MULTIPLY_PAIRS(a, b) _mm_madd_epi16((__m128i)(a), (__m128i)(b))
#define LUTRA_PACK_BYTES(v) \
  _mm_packus_epi16(_mm_packs_epi32((__m128i)(v), _mm_setzero_si128()), _mm_setzero_si128())
#define LUTRA_WIDEN_BYTES(v) \
  _mm_unpacklo_epi16(_mm_unpacklo_epi8(v, _mm_setzero_si128()), _mm_setzero_si128())
// 16 vector registers: 6 x 2 of C, two of B, one of A.
#define LUTRA_GEMM_ROWS 6
#define LUTRA_GEMM_VECTORS 2
#else
// 32 vector registers: 6 x 4 of C, four of B, one of A.
#define LUTRA_GEMM_ROWS 6
#define LUTRA_GEMM_VECTORS 4
#endif
#define LUTRA_DIRECT_ROWS LUTRA_GEMM_ROWS
#define LUTRA_DIRECT_VECTORS LUTRA_GEMM_VECTORS
#include "cpu/kernels/isa/all.inl"

namespace lutra::cpu {
const KernelTable& baseline_kernels() { return baseline::kTable; }
}  // namespace lutra::cpu
