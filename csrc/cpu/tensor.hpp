#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lutra::cpu {

enum class DType { kFloat32, kInt64, kUint8, kInt8, kInt32 };

using Shape = std::vector<int64_t>;

constexpr int64_t kAlignment = 64;                       ///< bytes: a cache line, and the widest vector
constexpr int64_t kMaxTensorBytes = int64_t{4} << 30;    ///< more is refused before anything is allocated
constexpr int64_t kMaxProgramBytes = int64_t{16} << 30;  ///< all copies and buffers of one program together

/// "float32", "int64", "uint8", "int8" or "int32".
std::string_view dtype_name(DType dtype);

/// Throws std::invalid_argument for every other name.
DType dtype_named(std::string_view name);

int64_t dtype_bytes(DType dtype);

/// "2x3x4", or "scalar".
std::string to_string(const Shape& shape);

/// Product of the dimensions [first, last). The shape has been checked: it cannot overflow.
int64_t product(const Shape& shape, size_t first, size_t last);
int64_t elements(const Shape& shape);

/// Bytes of a tensor. Throws std::invalid_argument, which names `what`, where a dimension is not positive or
/// the tensor is larger than `kMaxTensorBytes`.
int64_t checked_bytes(const Shape& shape, DType dtype, std::string_view what);

/// Uninitialised memory, aligned to `kAlignment`.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t bytes);

  int64_t bytes() const { return bytes_; }
  std::byte* data() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  int64_t bytes_ = 0;
  std::unique_ptr<std::byte, Free> data_;
};

}  // namespace lutra::cpu
