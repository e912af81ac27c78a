#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gpu/api/cublaslt.hpp"
#include "gpu/gpu.hpp"

namespace lutra::gpu {

/// How numbers are multiplied; part of what identifies a measured kernel.
enum class Math { kFp32, kTf32, kFp16, kBf16, kInt8, kFp8 };

/// "fp32", "tf32", "fp16", "bf16", "int8" or "fp8". @throws std::invalid_argument for every other name.
Math math_named(std::string_view name);

/// cuBLASLt.
class Blas {
 public:
  /// @throws std::runtime_error where it is missing or does not work.
  Blas(std::shared_ptr<const Gpu> gpu, const Candidates& candidates);
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  ~Blas();

  [[nodiscard]] const Gpu& gpu() const { return *gpu_; }
  [[nodiscard]] const blas::Api& api() const { return api_; }
  [[nodiscard]] blas::Handle handle() const { return handle_; }
  /// 130002 for 13.0.2.
  [[nodiscard]] std::size_t version() const { return version_; }
  [[nodiscard]] const std::string& path() const { return library_.path(); }

  void check(blas::Status status, std::string_view what) const {
    if (status != blas::kSuccess) [[unlikely]]
      raise(status, what);
  }

 private:
  [[noreturn]] void raise(blas::Status status, std::string_view what) const;

  std::shared_ptr<const Gpu> gpu_;
  SharedLibrary library_;
  blas::Api api_{};
  blas::Handle handle_ = nullptr;
  std::size_t version_ = 0;
};

/// Row-major matrices: d[m x n] = activation(a[m x k] b + c + bias), `batch` of them one behind the other.
/// With `transposed`, b is n x k, as the weights of a linear layer are; else k x n. In int8 d is sums in
/// int32 of what the numbers stand for, and takes nothing in; in float8 d is float16, and b has the scale of
/// weights. Both want b transposed, and rows of a multiple of 4 or 16 numbers.
struct ProductSpec {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t batch = 1;
  bool transposed = false;
  bool adds = false;  ///< c is there
  bool bias = false;  ///< n numbers
  bool relu = false;
  bool gelu_tanh = false;
  Element element = Element::kFloat32;
  Math math = Math::kFp32;

  [[nodiscard]] Element result() const {
    if (math == Math::kInt8) return Element::kInt32;
    return math == Math::kFp8 ? Element::kFloat16 : element;
  }
};

/// One product, its algorithm chosen by the library's heuristic.
class Product {
 public:
  /// Most memory that an algorithm may use besides its operands.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  /// @throws std::invalid_argument where the library has nothing for it; std::runtime_error.
  Product(std::shared_ptr<const Blas> blas, const ProductSpec& spec);
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;
  ~Product();

  /// Puts it on the GPU's stream. `c` and `bias` where the spec has them.
  void enqueue(float alpha, cuda::Pointer a, cuda::Pointer b, cuda::Pointer c, cuda::Pointer bias,
               cuda::Pointer d, cuda::Pointer workspace) const;

  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// "cublasLt 66 tile 20 stages 4 split 1 + bias + relu".
  [[nodiscard]] const std::string& implementation() const { return implementation_; }

 private:
  void describe();
  void choose();
  [[nodiscard]] int algorithm_number(int attribute) const;

  std::shared_ptr<const Blas> blas_;
  ProductSpec spec_;
  blas::MatmulDesc desc_ = nullptr;
  blas::Layout left_ = nullptr;
  blas::Layout right_ = nullptr;
  blas::Layout result_ = nullptr;
  blas::Algo algorithm_{};
  Memory weight_scale_;
  std::size_t workspace_bytes_ = 0;
  std::string implementation_;
};

}  // namespace lutra::gpu
