// Sums for AVX-512: a row of up to 64 costs stays in registers and is permuted.
#include "luts/sums/kernels.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

LUTRA_TARGET_BEGIN(LUTRA_TARGET_AVX512)

namespace lutra::luts {

#include "luts/sums/scalar.inl"

namespace {

using Vec = __m512;
using VecIndex = __m512i;
constexpr std::size_t kLanes = 16;

inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }

// The masked forms with all lanes: the plain ones pass an undefined vector, which compilers warn of.
constexpr __mmask16 kAll = 0xffff;

inline VecIndex widen(const std::uint8_t* codes) {
  return _mm512_maskz_cvtepu8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
}
inline VecIndex widen(const std::uint16_t* codes) {
  return _mm512_maskz_cvtepu16_epi32(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
}

template <Reduce reduce>
inline Vec vector_combine(Vec sums, Vec costs) {
  if constexpr (reduce == Reduce::kSum) return _mm512_add_ps(sums, costs);
  return _mm512_maskz_max_ps(kAll, sums, costs);
}

struct Row16 {
  explicit Row16(const float* costs) : all(_mm512_loadu_ps(costs)) {}
  Vec pick(VecIndex index) const { return _mm512_maskz_permutexvar_ps(kAll, index, all); }
  Vec all;
};

struct Row32 {
  explicit Row32(const float* costs) : low(_mm512_loadu_ps(costs)), high(_mm512_loadu_ps(costs + 16)) {}
  Vec pick(VecIndex index) const { return _mm512_permutex2var_ps(low, index, high); }
  Vec low, high;
};

struct Row64 {
  explicit Row64(const float* costs) : low(costs), high(costs + 32) {}
  Vec pick(VecIndex index) const {
    const __mmask16 in_high = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
    return _mm512_mask_blend_ps(in_high, low.pick(index), high.pick(index));
  }
  Row32 low, high;
};

struct RowInMemory {
  explicit RowInMemory(const float* costs) : all(costs) {}
  Vec pick(VecIndex index) const {
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), kAll, index, all, sizeof(float));
  }
  const float* all;
};

}  // namespace

#include "luts/sums/blocks.inl"

namespace {

void run_bytes(const Tile<std::uint8_t>& tile, Reduce reduce) {
  if (tile.codes.architecture_step != 1)
    baseline_sums().bytes(tile, reduce);
  else if (tile.choices <= 16)
    reduce_tile<Row16>(tile, reduce);
  else if (tile.choices <= 32)
    reduce_tile<Row32>(tile, reduce);
  else if (tile.choices <= 64)
    reduce_tile<Row64>(tile, reduce);
  else
    reduce_tile<RowInMemory>(tile, reduce);
}

void run_words(const Tile<std::uint16_t>& tile, Reduce reduce) {
  if (tile.codes.architecture_step != 1)
    baseline_sums().words(tile, reduce);
  else
    reduce_tile<RowInMemory>(tile, reduce);
}

}  // namespace

const SumKernels& avx512_sums() {
  static constexpr SumKernels kKernels{run_bytes, run_words};
  return kKernels;
}

}  // namespace lutra::luts

LUTRA_TARGET_END

#endif
