#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>

namespace lutra::luts {

/// Encoded architectures as they lie in somebody's memory: any integers, any strides, nothing copied.
struct CodesView {
  const std::byte* data = nullptr;
  std::size_t count = 0;                 ///< architectures
  std::size_t positions = 0;             ///< decisions of each
  std::ptrdiff_t architecture_step = 0;  ///< bytes from one architecture to the next
  std::ptrdiff_t position_step = 0;      ///< bytes from one position to the next
  std::size_t width = 1;                 ///< bytes of a code: 1, 2, 4 or 8
  bool is_signed = false;

  /// Whether the choices at one position are bytes beside each other, which needs no copy.
  bool has_byte_columns() const { return width == 1 && architecture_step == 1; }

  /// The choice of an architecture at a position, as a signed number (of unsigned 64-bit ones, as far as it
  /// fits).
  std::int64_t at(std::size_t architecture, std::size_t position) const;
};

/// A choice that its position does not have.
class CodeError : public std::out_of_range {
 public:
  CodeError(std::size_t architecture, std::size_t position, std::int64_t code, std::size_t limit);
};

/// How many choices a position has, as far as the codes' type can name them: a negative code is never below
/// it.
std::uint64_t nameable(const CodesView& codes, std::uint32_t limit);

/// Copies architectures [first, first + count) to to[p * stride + i]. A code that is not below its position's
/// limit is copied as 0; returns whether there was none.
template <class Code>
bool copy_codes(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                std::size_t count, Code* to, std::size_t stride);

/// Whether all codes of these architectures are below their position's limit; for codes with byte columns.
bool bytes_fit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
               std::size_t count);

/// Throws CodeError for the first code of these architectures that is not below its position's limit; returns
/// where there is none.
void refuse_misfit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                   std::size_t count);

/// How many architectures are worked on at a time: their codes stay in the first cache, and vectors are full.
std::size_t tile_size(std::size_t positions);

}  // namespace lutra::luts
