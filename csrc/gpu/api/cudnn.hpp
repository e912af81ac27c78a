#pragma once

#include <cstddef>

#include "gpu/api/cuda.hpp"

// The part of cuDNN 9 (libcudnn.so.9) that is used: its convolutions with bias and activation. These
// functions are marked as deprecated in favour of the graph interface but are in every release of version 9.

struct cudnnContext;

namespace lutra::gpu::dnn {

using Status = int;
using Handle = cudnnContext*;
struct TensorOpaque;
struct FilterOpaque;
struct ConvolutionOpaque;
struct ActivationOpaque;
using Tensor = TensorOpaque*;
using Filter = FilterOpaque*;
using Convolution = ConvolutionOpaque*;
using Activation = ActivationOpaque*;

struct AlgoPerf {
  int algo;
  Status status;
  float time_ms;
  std::size_t workspace_bytes;
  int determinism;
  int math;
  int reserved[3];
};

inline constexpr Status kSuccess = 0;
inline constexpr Status kNotInitialized = 1001;
inline constexpr Status kSublibraryMismatch = 1002;
inline constexpr Status kSublibraryMissing = 1008;
inline constexpr Status kBadParameter = 2000;  ///< to 2999
inline constexpr Status kNotSupported = 3000;  ///< to 3999
inline constexpr Status kDriverTooOld = 3005;

inline constexpr int kFloat32 = 0;
inline constexpr int kFloat16 = 2;
inline constexpr int kInt8 = 3;
inline constexpr int kInt32 = 4;
inline constexpr int kBfloat16 = 9;

inline constexpr int kNchw = 0;
inline constexpr int kNhwc = 1;

inline constexpr int kCrossCorrelation = 1;

/// cudnnMathType_t. Default: tensor cores on what is in 16 bits, and TF32 on float32; FMA: none of that.
inline constexpr int kTensorOps = 1;
inline constexpr int kFma = 3;

inline constexpr int kRelu = 1;
inline constexpr int kIdentity = 5;
inline constexpr int kPropagateNan = 1;

inline constexpr int kAlgoCount = 8;
inline constexpr int kImplicitPrecompGemm = 1;

#define LUTRA_CUDNN_FUNCTIONS(X)                                                                            \
  X(Create, "cudnnCreate", Handle*)                                                                         \
  X(Destroy, "cudnnDestroy", Handle)                                                                        \
  X(SetStream, "cudnnSetStream", Handle, cuda::Stream)                                                      \
  X(CreateTensor, "cudnnCreateTensorDescriptor", Tensor*)                                                   \
  X(DestroyTensor, "cudnnDestroyTensorDescriptor", Tensor)                                                  \
  X(SetTensor4d, "cudnnSetTensor4dDescriptor", Tensor, int, int, int, int, int, int)                        \
  X(CreateFilter, "cudnnCreateFilterDescriptor", Filter*)                                                   \
  X(DestroyFilter, "cudnnDestroyFilterDescriptor", Filter)                                                  \
  X(SetFilter4d, "cudnnSetFilter4dDescriptor", Filter, int, int, int, int, int, int)                        \
  X(CreateConvolution, "cudnnCreateConvolutionDescriptor", Convolution*)                                    \
  X(DestroyConvolution, "cudnnDestroyConvolutionDescriptor", Convolution)                                   \
  X(SetConvolution2d, "cudnnSetConvolution2dDescriptor", Convolution, int, int, int, int, int, int, int,    \
    int)                                                                                                    \
  X(SetMathType, "cudnnSetConvolutionMathType", Convolution, int)                                           \
  X(SetGroupCount, "cudnnSetConvolutionGroupCount", Convolution, int)                                       \
  X(CreateActivation, "cudnnCreateActivationDescriptor", Activation*)                                       \
  X(DestroyActivation, "cudnnDestroyActivationDescriptor", Activation)                                      \
  X(SetActivation, "cudnnSetActivationDescriptor", Activation, int, int, double)                            \
  X(GetAlgorithms, "cudnnGetConvolutionForwardAlgorithm_v7", Handle, Tensor, Filter, Convolution, Tensor,   \
    int, int*, AlgoPerf*)                                                                                   \
  X(GetWorkspaceSize, "cudnnGetConvolutionForwardWorkspaceSize", Handle, Tensor, Filter, Convolution,       \
    Tensor, int, std::size_t*)                                                                              \
  X(ConvolutionForward, "cudnnConvolutionForward", Handle, const void*, Tensor, const void*, Filter,        \
    const void*, Convolution, int, void*, std::size_t, const void*, Tensor, void*)                          \
  X(ConvolutionBiasActivationForward, "cudnnConvolutionBiasActivationForward", Handle, const void*, Tensor, \
    const void*, Filter, const void*, Convolution, int, void*, std::size_t, const void*, Tensor,            \
    const void*, Tensor, const void*, Activation, Tensor, void*)

struct Api {
#define LUTRA_DECLARE(name, symbol, ...) Status (*name)(__VA_ARGS__) = nullptr;
  LUTRA_CUDNN_FUNCTIONS(LUTRA_DECLARE)
#undef LUTRA_DECLARE
  std::size_t (*GetVersion)() = nullptr;
  const char* (*GetErrorString)(Status) = nullptr;
};

}  // namespace lutra::gpu::dnn
