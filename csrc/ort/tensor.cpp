#include "ort/tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numbers>
#include <stdexcept>

namespace lutra::ort {
namespace {

constexpr std::size_t kAlignment = 64;

template <typename T>
T element(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
bool finite_floats(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i)
    if (!std::isfinite(element<T>(bytes, i))) return false;
  return true;
}

/// 16-bit floats are finite unless all exponent bits are set.
bool finite_halves(std::span<const std::byte> bytes, std::uint16_t exponent_mask) {
  for (std::size_t i = 0; i < bytes.size() / 2; ++i)
    if ((element<std::uint16_t>(bytes, i) & exponent_mask) == exponent_mask) return false;
  return true;
}

/// Four 16-bit uniforms from one draw, summed and scaled to variance 1.
double bell(std::mt19937_64& random) {
  std::uint64_t bits = random();
  double sum = 0.0;
  for (int i = 0; i < 4; ++i, bits >>= 16) sum += static_cast<double>(bits & 0xffffU) / 65535.0;
  return (sum - 2.0) * std::numbers::sqrt3;
}

template <typename T>
void fill(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (std::size_t offset = 0; offset + sizeof(T) <= bytes.size(); offset += sizeof(T)) {
    const T value = static_cast<T>(bell(random));
    std::memcpy(bytes.data() + offset, &value, sizeof(T));
  }
}

}  // namespace

std::size_t element_bytes(ElementType type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
    case kFloat16:
    case kBfloat16:
      return 2;
    case kFloat32:
    case kInt32:
    case kUint32:
      return 4;
    case kFloat64:
    case kInt64:
    case kUint64:
      return 8;
    default:
      return 0;
  }
}

std::string type_name(ElementType type) {
  switch (type) {
    case kFloat32:
      return "float32";
    case kUint8:
      return "uint8";
    case kInt8:
      return "int8";
    case kUint16:
      return "uint16";
    case kInt16:
      return "int16";
    case kInt32:
      return "int32";
    case kInt64:
      return "int64";
    case kString:
      return "string";
    case kBool:
      return "bool";
    case kFloat16:
      return "float16";
    case kFloat64:
      return "float64";
    case kUint32:
      return "uint32";
    case kUint64:
      return "uint64";
    case kBfloat16:
      return "bfloat16";
    default:
      return "element type " + std::to_string(static_cast<int>(type));
  }
}

std::size_t tensor_bytes(const TensorSpec& spec) {
  std::size_t bytes = element_bytes(spec.type);
  if (bytes == 0) throw std::invalid_argument("tensors of " + type_name(spec.type) + " are not supported");
  for (const std::int64_t dim : spec.shape) {
    if (dim < 0) throw std::invalid_argument("the shape has a dimension that is not known");
    bytes *= static_cast<std::size_t>(dim);
  }
  return bytes;
}

bool all_finite(const TensorView& tensor) {
  switch (tensor.spec.type) {
    case kFloat32:
      return finite_floats<float>(tensor.bytes);
    case kFloat64:
      return finite_floats<double>(tensor.bytes);
    case kFloat16:
      return finite_halves(tensor.bytes, 0x7c00);
    case kBfloat16:
      return finite_halves(tensor.bytes, 0x7f80);
    default:
      return true;
  }
}

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  // aligned_alloc wants a multiple of the alignment, and an empty tensor still needs an address.
  const std::size_t rounded = std::max((bytes + kAlignment - 1) / kAlignment, std::size_t{1}) * kAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
  if (!data_) throw std::bad_alloc();
}

void fill_normal(ElementType type, std::span<std::byte> bytes, std::mt19937_64& random) {
  if (type == kFloat32) {
    fill<float>(bytes, random);
  } else if (type == kFloat64) {
    fill<double>(bytes, random);
  } else {
    throw std::invalid_argument("no values can be made up for " + type_name(type));
  }
}

}  // namespace lutra::ort
