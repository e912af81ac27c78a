#include "cpu/tensor.hpp"

#include <new>
#include <stdexcept>

namespace lutra::cpu {

std::string_view dtype_name(DType dtype) { return dtype == DType::kFloat32 ? "float32" : "int64"; }

DType dtype_named(std::string_view name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "int64") return DType::kInt64;
  throw std::invalid_argument("element type '" + std::string(name) +
                              "' is not supported: use float32 or int64");
}

int64_t dtype_bytes(DType dtype) { return dtype == DType::kFloat32 ? 4 : 8; }

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
