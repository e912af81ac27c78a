// Packing of panels of B out of a matrix that exists only as addresses (im2col without the intermediate
// matrix).

namespace lutra::cpu::LUTRA_ISA {

// Columns [start, start + length) of a panel that lie side by side in the source.
struct Segment {
  int64_t start;
  int64_t position;
  int64_t length;
};

LUTRA_INLINE int64_t split_panel(const ColumnSource& source, int64_t n0, int64_t width, Segment* segments) {
  int64_t count = 0;
  for (int64_t done = 0; done < width;) {
    const int64_t row = (n0 + done) / source.width;
    const int64_t column = (n0 + done) % source.width;
    const int64_t run = source.width - column;
    const int64_t length = run < width - done ? run : width - done;
    segments[count++] = {done, row * source.row_stride + column, length};
    done += length;
  }
  return count;
}

LUTRA_INLINE void pack_whole_panel(const float* source, const int64_t* offsets, int64_t depth,
                                   float* packed) {
  for (int64_t k = 0; k < depth; ++k, packed += kGemmColumns) {
    const float* from = source + offsets[k];
#pragma GCC unroll 8
    for (int v = 0; v < kGemmVectors; ++v) store(packed + v * kLanes, load(from + v * kLanes));
  }
}

// Copies whole vectors: what spills over a segment's end is overwritten by the next segment or the next row.
LUTRA_INLINE void pack_segments_wide(const float* source, const int64_t* offsets, int64_t depth,
                                     const Segment* segments, int64_t count, float* packed) {
  for (int64_t k = 0; k < depth; ++k, packed += kGemmColumns) {
    const float* from = source + offsets[k];
    for (int64_t s = 0; s < count; ++s)
      for (int64_t i = 0; i < segments[s].length; i += kLanes)
        store(packed + segments[s].start + i, load(from + segments[s].position + i));
  }
}

LUTRA_INLINE void pack_segments_exact(const float* source, const int64_t* offsets, int64_t depth,
                                      const Segment* segments, int64_t count, float* packed) {
  for (int64_t k = 0; k < depth; ++k, packed += kGemmColumns)
    for (int64_t s = 0; s < count; ++s)
      __builtin_memcpy(packed + segments[s].start, source + offsets[k] + segments[s].position,
                       static_cast<size_t>(segments[s].length) * sizeof(float));
}

static void pack_columns(const ColumnSource& source, int64_t k0, int64_t depth, int64_t n0, int64_t count,
                         float* packed) {
  Segment segments[kGemmColumns];
  for (int64_t column = 0; column < count; column += kGemmColumns, packed += depth * kGemmColumns) {
    const int64_t left = count - column;
    const int64_t width = left < kGemmColumns ? left : kGemmColumns;
    const int64_t pieces = split_panel(source, n0 + column, width, segments);
    const int64_t* offsets = source.offsets + k0;
    // Stale memory in the unused columns could hold subnormals, which are slow to multiply.
    if (width < kGemmColumns)
      __builtin_memset(packed, 0, static_cast<size_t>(depth * kGemmColumns) * sizeof(float));
    if (pieces == 1 && width == kGemmColumns)
      pack_whole_panel(source.source + segments[0].position, offsets, depth, packed);
    else if (source.readable_past_end)
      pack_segments_wide(source.source, offsets, depth, segments, pieces, packed);
    else
      pack_segments_exact(source.source, offsets, depth, segments, pieces, packed);
  }
}

}  // namespace lutra::cpu::LUTRA_ISA
