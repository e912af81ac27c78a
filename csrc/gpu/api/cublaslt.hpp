#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/api/cuda.hpp"

// The part of cuBLASLt (libcublasLt.so.12 and .13) that is used.

struct cublasLtContext;

namespace lutra::gpu::blas {

using Status = int;
using Handle = cublasLtContext*;
struct MatmulDescOpaque;
struct LayoutOpaque;
struct PreferenceOpaque;
using MatmulDesc = MatmulDescOpaque*;
using Layout = LayoutOpaque*;
using Preference = PreferenceOpaque*;

struct Algo {
  std::uint64_t data[8];
};

struct HeuristicResult {
  Algo algo;
  std::size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

inline constexpr Status kSuccess = 0;
inline constexpr Status kNotInitialized = 1;
inline constexpr Status kAllocFailed = 3;
inline constexpr Status kInvalidValue = 7;
inline constexpr Status kArchMismatch = 8;
inline constexpr Status kNotSupported = 15;

/// cudaDataType.
inline constexpr int kFloat32 = 0;
inline constexpr int kFloat16 = 2;
inline constexpr int kInt8 = 3;
inline constexpr int kInt32 = 10;
inline constexpr int kBfloat16 = 14;
inline constexpr int kFloat8E4m3 = 28;

/// cublasComputeType_t. That of float32 uses no TF32, unless the environment asks for it
/// (NVIDIA_TF32_OVERRIDE).
inline constexpr int kComputeFloat32 = 68;
inline constexpr int kComputeInt32 = 72;
inline constexpr int kComputeTf32 = 77;

/// cublasLtMatmulDescAttributes_t.
inline constexpr int kDescTransA = 3;
inline constexpr int kDescTransB = 4;
inline constexpr int kDescEpilogue = 7;
inline constexpr int kDescBiasPointer = 8;
inline constexpr int kDescScaleOfA = 17;  ///< address of a float on the GPU
inline constexpr int kDescBiasType = 26;

/// cublasLtMatrixLayoutAttribute_t.
inline constexpr int kLayoutBatchCount = 5;
inline constexpr int kLayoutBatchStride = 6;

inline constexpr int kPreferenceWorkspaceBytes = 1;

/// cublasLtEpilogue_t; the parts are or-ed. Gelu is the form with tanh.
inline constexpr std::uint32_t kEpilogueDefault = 1;
inline constexpr std::uint32_t kEpilogueRelu = 2;
inline constexpr std::uint32_t kEpilogueBias = 4;
inline constexpr std::uint32_t kEpilogueGelu = 32;

/// cublasLtMatmulAlgoConfigAttributes_t.
inline constexpr int kAlgoId = 0;
inline constexpr int kAlgoTile = 1;
inline constexpr int kAlgoSplitK = 2;
inline constexpr int kAlgoStages = 6;

#define LUTRA_CUBLASLT_FUNCTIONS(X)                                                                         \
  X(Create, "cublasLtCreate", Handle*)                                                                      \
  X(Destroy, "cublasLtDestroy", Handle)                                                                     \
  X(MatmulDescCreate, "cublasLtMatmulDescCreate", MatmulDesc*, int, int)                                    \
  X(MatmulDescDestroy, "cublasLtMatmulDescDestroy", MatmulDesc)                                             \
  X(MatmulDescSetAttribute, "cublasLtMatmulDescSetAttribute", MatmulDesc, int, const void*, std::size_t)    \
  X(LayoutCreate, "cublasLtMatrixLayoutCreate", Layout*, int, std::uint64_t, std::uint64_t, std::int64_t)   \
  X(LayoutDestroy, "cublasLtMatrixLayoutDestroy", Layout)                                                   \
  X(LayoutSetAttribute, "cublasLtMatrixLayoutSetAttribute", Layout, int, const void*, std::size_t)          \
  X(PreferenceCreate, "cublasLtMatmulPreferenceCreate", Preference*)                                        \
  X(PreferenceDestroy, "cublasLtMatmulPreferenceDestroy", Preference)                                       \
  X(PreferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute", Preference, int, const void*,           \
    std::size_t)                                                                                            \
  X(AlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic", Handle, MatmulDesc, Layout, Layout, Layout, Layout, \
    Preference, int, HeuristicResult*, int*)                                                                \
  X(AlgoConfigGetAttribute, "cublasLtMatmulAlgoConfigGetAttribute", const Algo*, int, void*, std::size_t,   \
    std::size_t*)                                                                                           \
  X(Matmul, "cublasLtMatmul", Handle, MatmulDesc, const void*, const void*, Layout, const void*, Layout,    \
    const void*, const void*, Layout, void*, Layout, const Algo*, void*, std::size_t, cuda::Stream)

struct Api {
#define LUTRA_DECLARE(name, symbol, ...) Status (*name)(__VA_ARGS__) = nullptr;
  LUTRA_CUBLASLT_FUNCTIONS(LUTRA_DECLARE)
#undef LUTRA_DECLARE
  std::size_t (*GetVersion)() = nullptr;
  const char* (*GetStatusString)(Status) = nullptr;
};

}  // namespace lutra::gpu::blas
