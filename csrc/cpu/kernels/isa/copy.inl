// Copying of image rows, straight or with even and odd columns apart.

namespace lutra::cpu::LUTRA_ISA {

// The last vector is moved left until it fits, so that a row needs no scalar tail.
LUTRA_INLINE void copy_row(const float* from, int64_t count, float* to) {
  if (count < kLanes) return copy_partial(from, to, count);
  const int64_t last = count - kLanes;
  for (int64_t i = 0; i < last; i += kLanes) store(to + i, load(from + i));
  store(to + last, load(from + last));
}

static void copy_rows(const RowCopy& copy) {
  for (int64_t row = 0; row < copy.rows; ++row)
    copy_row(copy.from + row * copy.from_stride, copy.columns, copy.to + row * copy.to_stride);
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LUTRA_HAS_SHUFFLE 1
#endif
#endif

#if LUTRA_HAS_SHUFFLE
// Lane `i` of the even or odd (Odd = 1) elements of two vectors, within blocks of four lanes: cheap on every
// machine.
template <int Odd>
constexpr int within_block(int i) {
  const int block = i / 4;
  return (i % 4 < 2 ? 0 : LUTRA_LANES) + 4 * block + 2 * (i % 2) + Odd;
}

// Brings the pairs that came from the first vector before those from the second.
constexpr int across_blocks(int i) {
  const int pair = i / 2;
  const int blocks = LUTRA_LANES / 4;
  return 2 * (pair < blocks ? 2 * pair : 2 * (pair - blocks) + 1) + i % 2;
}

template <int Odd, int... Lane>
LUTRA_INLINE Vec every_second(Vec low, Vec high, std::integer_sequence<int, Lane...>) {
  const Vec mixed = __builtin_shufflevector(low, high, within_block<Odd>(Lane)...);
  return __builtin_shufflevector(mixed, mixed, across_blocks(Lane)...);
}

LUTRA_INLINE void split_vectors(const float* from, float* even, float* odd) {
  using Lanes = std::make_integer_sequence<int, LUTRA_LANES>;
  const Vec low = load(from);
  const Vec high = load(from + kLanes);
  store(even, every_second<0>(low, high, Lanes{}));
  store(odd, every_second<1>(low, high, Lanes{}));
}
#else
LUTRA_INLINE void split_vectors(const float* from, float* even, float* odd) {
  for (int64_t i = 0; i < kLanes; ++i) {
    even[i] = from[2 * i];
    odd[i] = from[2 * i + 1];
  }
}
#endif

LUTRA_INLINE void split_row(const float* from, int64_t pairs, float* even, float* odd) {
  if (pairs >= kLanes) {
    const int64_t last = pairs - kLanes;
    for (int64_t i = 0; i < last; i += kLanes) split_vectors(from + 2 * i, even + i, odd + i);
    split_vectors(from + 2 * last, even + last, odd + last);
    return;
  }
  for (int64_t i = 0; i < pairs; ++i) {
    even[i] = from[2 * i];
    odd[i] = from[2 * i + 1];
  }
}

static void split_rows(const RowCopy& copy, int64_t first_column, int64_t odd_offset) {
  const int64_t lead = first_column % 2;  // an odd column before the first pair
  const int64_t pairs = (copy.columns - lead) / 2;
  const int64_t first_pair = (first_column + lead) / 2;
  const bool trailing = (copy.columns - lead) % 2 == 1;
  for (int64_t row = 0; row < copy.rows; ++row) {
    const float* from = copy.from + row * copy.from_stride;
    float* even = copy.to + row * copy.to_stride + first_pair;
    float* odd = even + odd_offset;
    if (lead == 1) odd[-1] = from[0];
    split_row(from + lead, pairs, even, odd);
    if (trailing) even[pairs] = from[lead + 2 * pairs];
  }
}

}  // namespace lutra::cpu::LUTRA_ISA
