#include "cpu/kernels/reorder.hpp"

#include <algorithm>

#include "cpu/kernels/table.hpp"

namespace lutra::cpu {

namespace {

// So many pixels of a block at a time: eight rows of one cache line each.
constexpr int64_t kRun = 16;

// `copy(plain, blocked, channels, run)` for each run of pixels of each block.
template <class Copy>
void for_each_run(const ReorderShape& shape, Copy copy) {
  const int64_t blocks = channel_blocks(shape.channels);
  for (int64_t i = 0; i < shape.batch * blocks; ++i) {
    const int64_t first = i % blocks * kChannelBlock;
    const int64_t plane = i / blocks * shape.channels + first;
    for (int64_t pixel = 0; pixel < shape.pixels; pixel += kRun)
      copy(plane * shape.pixels + pixel, (i * shape.pixels + pixel) * kChannelBlock,
           std::min(kChannelBlock, shape.channels - first), std::min(kRun, shape.pixels - pixel));
  }
}

template <class T>
void blocks_of(const ReorderShape& shape, const T* x, T* y) {
  for_each_run(shape, [=](int64_t plain, int64_t blocked, int64_t channels, int64_t run) {
    if (channels < kChannelBlock) std::fill_n(y + blocked, run * kChannelBlock, T{});
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < run; ++p) y[blocked + p * kChannelBlock + c] = x[plain + c * shape.pixels + p];
  });
}

template <class T>
void planes_of(const ReorderShape& shape, const T* x, T* y) {
  for_each_run(shape, [=](int64_t plain, int64_t blocked, int64_t channels, int64_t run) {
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < run; ++p) y[plain + c * shape.pixels + p] = x[blocked + p * kChannelBlock + c];
  });
}

}  // namespace

void to_blocks(const ReorderShape& shape, const float* x, float* y) { blocks_of(shape, x, y); }
void to_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y) { blocks_of(shape, x, y); }
void from_blocks(const ReorderShape& shape, const float* x, float* y) { planes_of(shape, x, y); }
void from_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y) { planes_of(shape, x, y); }

}  // namespace lutra::cpu
