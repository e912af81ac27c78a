#include "onednn/layout.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lutra::onednn {
namespace {

constexpr std::string_view kWhat = "a memory layout";

int rank_of(const Shape& shape) {
  if (shape.size() > kMaxDims)
    throw std::invalid_argument("oneDNN takes at most " + std::to_string(kMaxDims) + " axes, not " +
                                cpu::to_string(shape));
  return static_cast<int>(shape.size());
}

MemoryDesc describe_tag(const Library& library, const Shape& shape, FormatTag tag) {
  return create<MemoryDesc>(library, kWhat, library.api().memory_desc_create_with_tag, rank_of(shape),
                            shape.data(), kF32, tag);
}

FormatTag blocked_tag(const Shape& shape, Layout layout) {
  const bool wide = layout == Layout::kBlocked16;
  if (shape.size() == 3) return wide ? k_nCw16c : k_nCw8c;
  if (shape.size() == 4) return wide ? k_nChw16c : k_nChw8c;
  throw std::invalid_argument("only tensors of 3 or 4 axes are blocked, not " + cpu::to_string(shape));
}

Shape channels_last_strides(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t stride = shape[1];
  for (std::size_t axis = shape.size(); axis-- > 2;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  strides[0] = stride;
  strides[1] = 1;
  return strides;
}

}  // namespace

Layout layout_named(std::string_view name) {
  if (name == "plain") return Layout::kPlain;
  if (name == "channels_last") return Layout::kChannelsLast;
  if (name == "blocked8") return Layout::kBlocked8;
  if (name == "blocked16") return Layout::kBlocked16;
  throw std::invalid_argument("unknown layout '" + std::string(name) + "'");
}

MemoryDesc describe(const Library& library, const Shape& shape, Layout layout) {
  switch (layout) {
    case Layout::kPlain:
      return describe_strided(library, shape, plain_strides(shape));
    case Layout::kChannelsLast:
      if (shape.size() < 3)
        throw std::invalid_argument("channels come last in tensors of 3 axes or more, not " +
                                    cpu::to_string(shape));
      return describe_strided(library, shape, channels_last_strides(shape));
    default:
      return describe_tag(library, shape, blocked_tag(shape, layout));
  }
}

MemoryDesc describe_any(const Library& library, const Shape& shape) {
  return describe_tag(library, shape, kAny);
}

MemoryDesc describe_strided(const Library& library, const Shape& shape, const Shape& strides) {
  return create<MemoryDesc>(library, kWhat, library.api().memory_desc_create_with_strides, rank_of(shape),
                            shape.data(), kF32, strides.data());
}

MemoryDesc describe_part(const Library& library, Desc whole, const Shape& shape, const Shape& offsets) {
  return create<MemoryDesc>(library, "a part of a tensor", library.api().memory_desc_create_submemory, whole,
                            shape.data(), offsets.data());
}

MemoryDesc copy_of(const Library& library, Desc desc) {
  return create<MemoryDesc>(library, kWhat, library.api().memory_desc_clone, desc);
}

Shape plain_strides(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

}  // namespace lutra::onednn
