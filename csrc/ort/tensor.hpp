#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ort/api.hpp"

namespace lutra::ort {

/// Type and shape of a tensor; a dimension of -1 is not known.
struct TensorSpec {
  ElementType type = kUndefined;
  std::vector<std::int64_t> shape;
};

/// A dense tensor in memory that belongs to someone else.
struct TensorView {
  TensorSpec spec;
  std::span<const std::byte> bytes;
};

/// Bytes of one element; 0 for types without a fixed size.
std::size_t element_bytes(ElementType type);

/// "float32", "int64", ...
std::string type_name(ElementType type);

/// Bytes of a dense tensor.
/// @throws std::invalid_argument for an unknown dimension or a type without a fixed size.
std::size_t tensor_bytes(const TensorSpec& spec);

/// Whether no element is infinite or NaN; integers always are finite.
bool all_finite(const TensorView& tensor);

/// Memory aligned to a cache line, so that every session sees its inputs alike.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t bytes);

  [[nodiscard]] std::span<std::byte> bytes() { return {data_.get(), bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

/// Fills a float32 or float64 tensor with values of mean 0 and variance 1 (sum of four uniforms: bell-shaped,
/// cheap, and never extreme enough to overflow).
/// @throws std::invalid_argument for any other type.
void fill_normal(ElementType type, std::span<std::byte> bytes, std::mt19937_64& random);

}  // namespace lutra::ort
