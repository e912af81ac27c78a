// Kernels for AVX-512 (F, VL, BW, DQ).
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

LUTRA_TARGET_BEGIN(LUTRA_TARGET_AVX512)

#define LUTRA_ISA avx512
#define LUTRA_LANES 16
// 32 vector registers: 12 x 2 of C, two of B; A is broadcast from memory. Convolutions have more output
// channels than pixels in a tile: fewer broadcasts, each for more multiply-adds.
#define LUTRA_GEMM_ROWS 12
#define LUTRA_GEMM_VECTORS 2
#define LUTRA_DIRECT_ROWS 6
#define LUTRA_DIRECT_VECTORS 4
// A vector holds two blocks of channels, and masks cost nothing: see block_pairs.inl.
#define LUTRA_PIXEL_PAIRS 1
#define LUTRA_MULTIPLY_PAIRS(a, b) _mm512_madd_epi16((__m512i)(a), (__m512i)(b))
#define LUTRA_PACK_BYTES(v) _mm512_maskz_cvtepi32_epi8((__mmask16)0xffff, (__m512i)(v))
#define LUTRA_WIDEN_BYTES(v) _mm512_maskz_cvtepu8_epi32((__mmask16)0xffff, v)
#include "cpu/kernels/isa/all.inl"

LUTRA_TARGET_END

namespace lutra::cpu {
const KernelTable& avx512_kernels() { return avx512::kTable; }
}  // namespace lutra::cpu

#endif
