#pragma once

#include <cstddef>
#include <cstdint>
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

  const std::byte* address(std::size_t architecture, std::size_t position) const {
    return data + static_cast<std::ptrdiff_t>(architecture) * architecture_step +
           static_cast<std::ptrdiff_t>(position) * position_step;
  }

  /// The choice of an architecture at a position; an unsigned one that is too large for the type as its
  /// maximum.
  std::int64_t at(std::size_t architecture, std::size_t position) const;
};

/// A choice that its position does not have.
class CodeError : public std::out_of_range {
 public:
  CodeError(std::size_t architecture, std::size_t position, std::int64_t code, std::size_t limit);
};

/// Throws CodeError for the first code of architectures [first, first + count) that is not below its
/// position's limit; returns where there is none.
void refuse_misfit(const CodesView& codes, std::span<const std::uint32_t> limits, std::size_t first,
                   std::size_t count);

}  // namespace lutra::luts
