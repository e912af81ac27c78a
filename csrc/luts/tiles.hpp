#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "luts/codes.hpp"
#include "luts/sums/kernels.hpp"

namespace lutra::luts {

/// How many architectures are worked on at a time: their codes stay in the second cache between the check and
/// the sums, and runs of memory are long enough to be fetched ahead.
std::size_t tile_size(std::size_t positions);

/// Hands out codes tile by tile, checked. Bytes that lie beside each other are left where they are; all
/// others are copied, narrowed to Code, in the order in which they lie.
template <class Code>
class TileReader {
 public:
  /// The view and the limits (one per position) must outlive the reader.
  TileReader(const CodesView& codes, std::span<const std::uint32_t> limits);

  /// Codes of the architectures [first, first + count), count <= tile_size(positions); valid until the next
  /// call. Throws CodeError for the first code that is not below its position's limit, and std::runtime_error
  /// where somebody changes codes while they are read. Copied codes cannot change any more; codes left in
  /// place may.
  TileCodes<Code> read(std::size_t first, std::size_t count);

 private:
  bool copied() const;
  template <class Value>
  bool copy_as(const std::byte* from, std::size_t count);
  bool copy(const std::byte* from, std::size_t count);
  bool fit(const TileCodes<Code>& tile, std::size_t count);

  CodesView codes_;
  std::span<const std::uint32_t> limits_;
  bool by_architecture_;  ///< codes of one architecture are nearer than those of one position
  std::vector<Code> copy_;
  std::vector<Code> largest_;  ///< by position
};

extern template class TileReader<std::uint8_t>;
extern template class TileReader<std::uint16_t>;

}  // namespace lutra::luts
