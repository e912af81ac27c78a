#include "cpu/tensor.hpp"

#include <array>
#include <new>
#include <stdexcept>

namespace lutra::cpu {

namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};

// In the order of the enumeration.
constexpr std::array<DTypeInfo, 5> kTypes{{{DType::kFloat32, "float32", 4},
                                           {DType::kInt64, "int64", 8},
                                           {DType::kUint8, "uint8", 1},
                                           {DType::kInt8, "int8", 1},
                                           {DType::kInt32, "int32", 4}}};

}  // namespace

std::string_view dtype_name(DType dtype) { return kTypes[static_cast<size_t>(dtype)].name; }

DType dtype_named(std::string_view name) {
  std::string known;
  for (const DTypeInfo& type : kTypes) {
    if (type.name == name) return type.dtype;
    known += (known.empty() ? "" : ", ") + std::string(type.name);
  }
  throw std::invalid_argument("element type '" + std::string(name) + "' is not supported; known: " + known);
}

int64_t dtype_bytes(DType dtype) { return kTypes[static_cast<size_t>(dtype)].bytes; }

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const int64_t d : shape) {
    if (!text.empty()) text += 'x';
    text += std::to_string(d);
  }
  return text;
}

int64_t product(const Shape& shape, size_t first, size_t last) {
  int64_t total = 1;
  for (size_t i = first; i < last; ++i) total *= shape[i];
  return total;
}

int64_t elements(const Shape& shape) { return product(shape, 0, shape.size()); }

int64_t checked_bytes(const Shape& shape, DType dtype, std::string_view what) {
  int64_t bytes = dtype_bytes(dtype);
  for (const int64_t d : shape) {
    if (d < 1)
      throw std::invalid_argument(std::string(what) + " has shape " + to_string(shape) +
                                  ": every dimension must be positive");
    if (d > kMaxTensorBytes / bytes)
      throw std::invalid_argument(std::string(what) + " of shape " + to_string(shape) + " is larger than " +
                                  std::to_string(kMaxTensorBytes >> 30) + " GiB");
    bytes *= d;
  }
  return bytes;
}

Buffer::Buffer(int64_t bytes)
    : bytes_(bytes),
      data_(static_cast<std::byte*>(
          ::operator new(static_cast<size_t>(bytes), std::align_val_t{static_cast<size_t>(kAlignment)}))) {}

void Buffer::Free::operator()(std::byte* p) const {
  ::operator delete(p, std::align_val_t{static_cast<size_t>(kAlignment)});
}

}  // namespace lutra::cpu
