// Sums for AVX2: a row of up to 32 costs stays in registers and is permuted.
#include "luts/sums/kernels.hpp"

#if LUTRA_X86_VARIANTS

#include <immintrin.h>

LUTRA_TARGET_BEGIN(LUTRA_TARGET_AVX2)

namespace lutra::luts {

#include "luts/sums/scalar.inl"

namespace {

using Vec = __m256;
using VecIndex = __m256i;
constexpr std::size_t kLanes = 8;

inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }

inline VecIndex widen(const std::uint8_t* codes) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
}

template <Reduce reduce>
inline Vec vector_combine(Vec sums, Vec costs) {
  if constexpr (reduce == Reduce::kSum) return _mm256_add_ps(sums, costs);
  return _mm256_max_ps(sums, costs);
}

/// Bit `kBit` of each index as the sign of a lane, which is what a blend looks at.
template <int kBit>
inline Vec sign_of(VecIndex index) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(index, 31 - kBit));
}

struct Row8 {
  explicit Row8(const float* costs) : all(_mm256_loadu_ps(costs)) {}
  Vec pick(VecIndex index) const { return _mm256_permutevar8x32_ps(all, index); }
  Vec all;
};

struct Row16 {
  explicit Row16(const float* costs) : low(costs), high(costs + 8) {}
  Vec pick(VecIndex index) const {
    return _mm256_blendv_ps(low.pick(index), high.pick(index), sign_of<3>(index));
  }
  Row8 low, high;
};

struct Row32 {
  explicit Row32(const float* costs) : low(costs), high(costs + 16) {}
  Vec pick(VecIndex index) const {
    return _mm256_blendv_ps(low.pick(index), high.pick(index), sign_of<4>(index));
  }
  Row16 low, high;
};

}  // namespace

#include "luts/sums/blocks.inl"

namespace {

/// Larger rows are read cost by cost: a gather of 8 takes half as long again where it was measured (Zen 2).
void run_bytes(const Tile<std::uint8_t>& tile, Reduce reduce) {
  if (tile.codes.architecture_step != 1 || tile.choices > 32)
    baseline_sums().bytes(tile, reduce);
  else if (tile.choices <= 8)
    reduce_tile<Row8>(tile, reduce);
  else if (tile.choices <= 16)
    reduce_tile<Row16>(tile, reduce);
  else
    reduce_tile<Row32>(tile, reduce);
}

}  // namespace

const SumKernels& avx2_sums() {
  static const SumKernels kKernels{run_bytes, baseline_sums().words};
  return kKernels;
}

}  // namespace lutra::luts

LUTRA_TARGET_END

#endif
