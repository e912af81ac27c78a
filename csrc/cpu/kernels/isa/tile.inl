// The shape of a tile of a convolution in blocks: pixels x vectors of output channels, in registers.

namespace lutra::cpu::LUTRA_ISA {

constexpr int kDirectRows = LUTRA_DIRECT_ROWS;
constexpr int kDirectVectors = LUTRA_DIRECT_VECTORS;
constexpr int64_t kDirectColumns = kDirectVectors * kLanes;
static_assert(kDirectColumns % kChannelBlock == 0);

}  // namespace lutra::cpu::LUTRA_ISA
