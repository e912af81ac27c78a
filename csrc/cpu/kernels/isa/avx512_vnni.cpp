// What gains by VNNI, beside the kernels for AVX-512: 8-bit convolutions, from bytes as they are.
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

namespace lutra::cpu {
const KernelTable& avx512_kernels();
}  // namespace lutra::cpu

LUTRA_TARGET_BEGIN(LUTRA_TARGET_AVX512_VNNI)

#define LUTRA_ISA avx512_vnni
#define LUTRA_LANES 16
// As in avx512.cpp, whose table this one extends.
#define LUTRA_DIRECT_ROWS 6
#define LUTRA_DIRECT_VECTORS 4
#define LUTRA_ADD_QUADS(sums, a, b) _mm512_dpbusd_epi32((__m512i)(sums), (__m512i)(a), (__m512i)(b))
#define LUTRA_PACK_BYTES(v) _mm512_maskz_cvtepi32_epi8((__mmask16)0xffff, (__m512i)(v))
#define LUTRA_WIDEN_BYTES(v) _mm512_maskz_cvtepu8_epi32((__mmask16)0xffff, v)
// clang-format off: the order matters
#include "cpu/kernels/isa/vector.inl"
#include "cpu/kernels/isa/tile.inl"
#include "cpu/kernels/isa/bytes.inl"
#include "cpu/kernels/isa/quantised_conv.inl"
// clang-format on

LUTRA_TARGET_END

namespace lutra::cpu {
const KernelTable& avx512_vnni_kernels() {
  static const KernelTable table = [] {
    KernelTable extended = avx512_kernels();
    extended.quantised_depth = avx512_vnni::kQuantisedDepth;
    extended.quantised_conv = &avx512_vnni::quantised_conv;
    return extended;
  }();
  return table;
}
}  // namespace lutra::cpu

#endif
