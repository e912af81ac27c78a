// What csrc/gpu/api declares of cuBLASLt and cuDNN by hand, against NVIDIA's headers.

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <cublasLt.h>
#include <cudnn.h>
#include <cudnn_cnn.h>
#include <cudnn_ops.h>

#include <cstddef>
#include <type_traits>

#include "check.hpp"
#include "gpu/api/cublaslt.hpp"
#include "gpu/api/cudnn.hpp"

namespace blas = lutra::gpu::blas;
namespace dnn = lutra::gpu::dnn;

namespace {

template <typename A, typename B>
constexpr bool kAlike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
                        std::is_floating_point_v<A> == std::is_floating_point_v<B>;

template <typename A, typename B>
struct Match : std::false_type {};
template <typename R, typename... A, typename S, typename... B>
struct Match<R (*)(A...), S (*)(B...)> : std::bool_constant<[] {
  if constexpr (sizeof...(A) == sizeof...(B)) return kAlike<R, S> && (kAlike<A, B> && ...);
  return false;
}()> {};

#define BLAS(name, function) \
  static_assert(Match<decltype(blas::Api::name), decltype(&function)>::value, #name)
#define DNN(name, function) static_assert(Match<decltype(dnn::Api::name), decltype(&function)>::value, #name)

BLAS(Create, cublasLtCreate);
BLAS(Destroy, cublasLtDestroy);
BLAS(MatmulDescCreate, cublasLtMatmulDescCreate);
BLAS(MatmulDescDestroy, cublasLtMatmulDescDestroy);
BLAS(MatmulDescSetAttribute, cublasLtMatmulDescSetAttribute);
BLAS(LayoutCreate, cublasLtMatrixLayoutCreate);
BLAS(LayoutDestroy, cublasLtMatrixLayoutDestroy);
BLAS(LayoutSetAttribute, cublasLtMatrixLayoutSetAttribute);
BLAS(PreferenceCreate, cublasLtMatmulPreferenceCreate);
BLAS(PreferenceDestroy, cublasLtMatmulPreferenceDestroy);
BLAS(PreferenceSetAttribute, cublasLtMatmulPreferenceSetAttribute);
BLAS(AlgoGetHeuristic, cublasLtMatmulAlgoGetHeuristic);
BLAS(AlgoConfigGetAttribute, cublasLtMatmulAlgoConfigGetAttribute);
BLAS(Matmul, cublasLtMatmul);
BLAS(GetVersion, cublasLtGetVersion);
BLAS(GetStatusString, cublasLtGetStatusString);

DNN(Create, cudnnCreate);
DNN(Destroy, cudnnDestroy);
DNN(SetStream, cudnnSetStream);
DNN(CreateTensor, cudnnCreateTensorDescriptor);
DNN(DestroyTensor, cudnnDestroyTensorDescriptor);
DNN(SetTensor4d, cudnnSetTensor4dDescriptor);
DNN(CreateFilter, cudnnCreateFilterDescriptor);
DNN(DestroyFilter, cudnnDestroyFilterDescriptor);
DNN(SetFilter4d, cudnnSetFilter4dDescriptor);
DNN(CreateConvolution, cudnnCreateConvolutionDescriptor);
DNN(DestroyConvolution, cudnnDestroyConvolutionDescriptor);
DNN(SetConvolution2d, cudnnSetConvolution2dDescriptor);
DNN(SetMathType, cudnnSetConvolutionMathType);
DNN(SetGroupCount, cudnnSetConvolutionGroupCount);
DNN(CreateActivation, cudnnCreateActivationDescriptor);
DNN(DestroyActivation, cudnnDestroyActivationDescriptor);
DNN(SetActivation, cudnnSetActivationDescriptor);
DNN(GetAlgorithms, cudnnGetConvolutionForwardAlgorithm_v7);
DNN(GetWorkspaceSize, cudnnGetConvolutionForwardWorkspaceSize);
DNN(ConvolutionForward, cudnnConvolutionForward);
DNN(ConvolutionBiasActivationForward, cudnnConvolutionBiasActivationForward);
DNN(GetVersion, cudnnGetVersion);
DNN(GetErrorString, cudnnGetErrorString);

static_assert(sizeof(blas::HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(blas::HeuristicResult, workspace_bytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(blas::HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(sizeof(dnn::AlgoPerf) == sizeof(cudnnConvolutionFwdAlgoPerf_t));
static_assert(offsetof(dnn::AlgoPerf, workspace_bytes) == offsetof(cudnnConvolutionFwdAlgoPerf_t, memory));
static_assert(offsetof(dnn::AlgoPerf, math) == offsetof(cudnnConvolutionFwdAlgoPerf_t, mathType));

}  // namespace

int main() {
  CHECK(blas::kNotInitialized == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas::kInvalidValue == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(blas::kArchMismatch == CUBLAS_STATUS_ARCH_MISMATCH);
  CHECK(blas::kNotSupported == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(blas::kFloat32 == CUDA_R_32F);
  CHECK(blas::kFloat16 == CUDA_R_16F);
  CHECK(blas::kBfloat16 == CUDA_R_16BF);
  CHECK(blas::kInt8 == CUDA_R_8I);
  CHECK(blas::kInt32 == CUDA_R_32I);
  CHECK(blas::kFloat8E4m3 == CUDA_R_8F_E4M3);
  CHECK(blas::kComputeInt32 == CUBLAS_COMPUTE_32I);
  CHECK(blas::kComputeFloat32 == CUBLAS_COMPUTE_32F);
  CHECK(blas::kComputeTf32 == CUBLAS_COMPUTE_32F_FAST_TF32);
  CHECK(blas::kDescTransA == CUBLASLT_MATMUL_DESC_TRANSA);
  CHECK(blas::kDescTransB == CUBLASLT_MATMUL_DESC_TRANSB);
  CHECK(blas::kDescEpilogue == CUBLASLT_MATMUL_DESC_EPILOGUE);
  CHECK(blas::kDescBiasPointer == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
  CHECK(blas::kDescScaleOfA == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
  CHECK(blas::kDescBiasType == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
  CHECK(blas::kLayoutBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
  CHECK(blas::kLayoutBatchStride == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
  CHECK(blas::kPreferenceWorkspaceBytes == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
  CHECK(blas::kEpilogueDefault == CUBLASLT_EPILOGUE_DEFAULT);
  CHECK(blas::kEpilogueRelu == CUBLASLT_EPILOGUE_RELU);
  CHECK(blas::kEpilogueBias == CUBLASLT_EPILOGUE_BIAS);
  CHECK(blas::kEpilogueGelu == CUBLASLT_EPILOGUE_GELU);
  CHECK((blas::kEpilogueRelu | blas::kEpilogueBias) == CUBLASLT_EPILOGUE_RELU_BIAS);
  CHECK((blas::kEpilogueGelu | blas::kEpilogueBias) == CUBLASLT_EPILOGUE_GELU_BIAS);
  CHECK(blas::kAlgoId == CUBLASLT_ALGO_CONFIG_ID);
  CHECK(blas::kAlgoTile == CUBLASLT_ALGO_CONFIG_TILE_ID);
  CHECK(blas::kAlgoSplitK == CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
  CHECK(blas::kAlgoStages == CUBLASLT_ALGO_CONFIG_STAGES_ID);
  CHECK(dnn::kNotInitialized == CUDNN_STATUS_NOT_INITIALIZED);
  CHECK(dnn::kSublibraryMismatch == CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH);
  CHECK(dnn::kSublibraryMissing == CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED);
  CHECK(dnn::kBadParameter == CUDNN_STATUS_BAD_PARAM);
  CHECK(dnn::kNotSupported == CUDNN_STATUS_NOT_SUPPORTED);
  CHECK(dnn::kDriverTooOld == CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER);
  CHECK(dnn::kFloat32 == CUDNN_DATA_FLOAT);
  CHECK(dnn::kFloat16 == CUDNN_DATA_HALF);
  CHECK(dnn::kBfloat16 == CUDNN_DATA_BFLOAT16);
  CHECK(dnn::kInt8 == CUDNN_DATA_INT8);
  CHECK(dnn::kInt32 == CUDNN_DATA_INT32);
  CHECK(dnn::kNchw == CUDNN_TENSOR_NCHW);
  CHECK(dnn::kNhwc == CUDNN_TENSOR_NHWC);
  CHECK(dnn::kCrossCorrelation == CUDNN_CROSS_CORRELATION);
  CHECK(dnn::kTensorOps == CUDNN_TENSOR_OP_MATH);
  CHECK(dnn::kFma == CUDNN_FMA_MATH);
  CHECK(dnn::kRelu == CUDNN_ACTIVATION_RELU);
  CHECK(dnn::kIdentity == CUDNN_ACTIVATION_IDENTITY);
  CHECK(dnn::kPropagateNan == CUDNN_PROPAGATE_NAN);
  CHECK(dnn::kAlgoCount == CUDNN_CONVOLUTION_FWD_ALGO_COUNT);
  CHECK(dnn::kImplicitPrecompGemm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM);
  return lutra::check::finish();
}
