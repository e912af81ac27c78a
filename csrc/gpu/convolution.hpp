#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gpu/api/cudnn.hpp"
#include "gpu/blas.hpp"
#include "gpu/gpu.hpp"

namespace lutra::gpu {

/// cuDNN.
class Dnn {
 public:
  /// @param parts the libraries that it consists of, opened first, so that no other version's are found.
  /// @throws std::runtime_error where it is missing, not version 9, or does not work.
  Dnn(std::shared_ptr<const Gpu> gpu, const Candidates& candidates, const std::vector<std::string>& parts);
  Dnn(const Dnn&) = delete;
  Dnn& operator=(const Dnn&) = delete;
  ~Dnn();

  [[nodiscard]] const Gpu& gpu() const { return *gpu_; }
  [[nodiscard]] const dnn::Api& api() const { return api_; }
  [[nodiscard]] dnn::Handle handle() const { return handle_; }
  /// 92801 for 9.28.1.
  [[nodiscard]] std::size_t version() const { return version_; }
  [[nodiscard]] const std::string& path() const { return library_.path(); }

  void check(dnn::Status status, std::string_view what) const {
    if (status != dnn::kSuccess) [[unlikely]]
      raise(status, what);
  }

 private:
  [[noreturn]] void raise(dnn::Status status, std::string_view what) const;

  std::shared_ptr<const Gpu> gpu_;
  SharedLibrary library_;
  dnn::Api api_{};
  dnn::Handle handle_ = nullptr;
  std::size_t version_ = 0;
};

/// In int8 images lie channels last, channels are multiples of 4, and biases are float32 in steps of the
/// activations.
struct ConvolutionSpec {
  int batch = 1, channels = 1, height = 1, width = 1;
  int out_channels = 1, out_height = 1, out_width = 1;
  int kernel_height = 1, kernel_width = 1;
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  int pad_height = 0, pad_width = 0;
  int groups = 1;
  bool bias = false;
  bool residual = false;
  bool relu = false;       ///< the activation is relu
  bool activates = false;  ///< there is an activation, relu or another
  bool channels_last = false;
  Element element = Element::kFloat32;
  Math math = Math::kFp32;
};

/// A convolution, with bias, residual and relu in the same call where the library has that.
class Convolution {
 public:
  /// Tries what the library offers, the fused forms first, the library's own favourite algorithm first.
  /// @throws std::invalid_argument where it has nothing; std::runtime_error.
  Convolution(std::shared_ptr<const Dnn> dnn, const ConvolutionSpec& spec);
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;
  ~Convolution();

  /// Whether bias, residual and activation are part of it; else they are left to the caller.
  [[nodiscard]] bool fused() const { return fused_; }
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  [[nodiscard]] const std::string& implementation() const { return implementation_; }

  void enqueue(cuda::Pointer x, cuda::Pointer w, cuda::Pointer bias, cuda::Pointer residual, cuda::Pointer y,
               cuda::Pointer workspace) const;

 private:
  void describe();
  void choose();
  [[nodiscard]] bool accepts(const dnn::AlgoPerf& algorithm, bool fused);
  [[nodiscard]] dnn::Status run(bool fused, const void* x, const void* w, const void* bias,
                                const void* residual, void* y, void* workspace) const;

  std::shared_ptr<const Dnn> dnn_;
  ConvolutionSpec spec_;
  dnn::Tensor x_ = nullptr;
  dnn::Tensor y_ = nullptr;
  dnn::Tensor bias_ = nullptr;
  dnn::Filter w_ = nullptr;
  dnn::Convolution convolution_ = nullptr;
  dnn::Activation activation_ = nullptr;
  int algorithm_ = 0;
  bool fused_ = false;
  std::size_t workspace_bytes_ = 0;
  std::string implementation_;
};

}  // namespace lutra::gpu
