#pragma once

#include <string_view>

#include "cpu/tensor.hpp"
#include "onednn/library.hpp"

namespace lutra::onednn {

using cpu::Shape;

/// How the elements of a float32 tensor lie in memory.
enum class Layout {
  kPlain,         ///< row-major
  kChannelsLast,  ///< row-major with axis 1 moved to the end
  kBlocked8,      ///< axis 1 in blocks of 8 that lie innermost; the last block is filled up with zeros
  kBlocked16,     ///< likewise of 16
};

/// "plain", "channels_last", "blocked8" or "blocked16".
/// @throws std::invalid_argument for every other name.
Layout layout_named(std::string_view name);

/// @throws std::invalid_argument for a rank that the layout does not go with (blocked: 3 or 4).
MemoryDesc describe(const Library& library, const Shape& shape, Layout layout);

/// Any layout: the primitive chooses.
MemoryDesc describe_any(const Library& library, const Shape& shape);

/// Strides are in elements.
MemoryDesc describe_strided(const Library& library, const Shape& shape, const Shape& strides);

/// The part of a tensor that begins at `offsets`.
MemoryDesc describe_part(const Library& library, Desc whole, const Shape& shape, const Shape& offsets);

MemoryDesc copy_of(const Library& library, Desc desc);

/// Strides of a row-major tensor.
Shape plain_strides(const Shape& shape);

}  // namespace lutra::onednn
