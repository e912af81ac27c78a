#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// The part of oneDNN's C interface (version 3) that Lutra calls, declared by hand: the wheel ships the
// library without its headers. Names, argument orders and enumerators are those of dnnl.h, dnnl_common.h and
// dnnl_types.h.

namespace lutra::onednn {

// Opaque handles.
struct dnnl_engine;
struct dnnl_stream;
struct dnnl_memory_desc;
struct dnnl_memory;
struct dnnl_primitive_attr;
struct dnnl_post_ops;
struct dnnl_primitive_desc;
struct dnnl_primitive;

inline constexpr std::size_t kMaxDims = 12;
using Dims = std::array<std::int64_t, kMaxDims>;

enum Status : int {
  kSuccess = 0,
  kOutOfMemory,
  kInvalidArguments,
  kUnimplemented,
  kLastImplReached,
  kRuntimeError
};
enum EngineKind : int { kCpu = 1 };
enum StreamFlags : unsigned { kInOrder = 1 };
enum DataType : int { kUndefined = 0, kF32 = 3 };
enum PropKind : int { kForwardInference = 96 };
enum ScratchpadMode : int { kScratchpadOfUser = 1 };
enum Query : int { kImplInfo = 8, kExecArgDesc = 255 };
enum NormalisationFlags : unsigned { kUseGlobalStats = 1, kUseScale = 2, kUseShift = 4 };
enum FormatTag : int { kAny = 1, k_nCw16c = 56, k_nCw8c = 69, k_nChw16c = 78, k_nChw8c = 102 };

enum Algorithm : int {
  kConvolutionDirect = 0x1,
  kDeconvolutionDirect = 0xa,
  kRelu = 0x20,
  kTanh = 33,
  kAbs = 36,
  kSqrt = 37,
  kLinear = 38,
  kHardSigmoid = 40,
  kLogistic = 41,
  kExp = 42,
  kGeluTanh = 43,
  kSwish = 44,
  kClip = 47,
  kPow = 48,
  kGeluErf = 49,
  kHardSwish = 52,
  kPoolingMax = 0x1ff,
  kPoolingAvgIncludePadding = 0x2ff,
  kPoolingAvgExcludePadding = 0x3ff,
  kBinaryAdd = 0x1fff0,
  kBinaryMul = 0x1fff1,
  kBinaryDiv = 0x1fff4,
  kBinarySub = 0x1fff5,
  kResamplingNearest = 0x2fff0,
  kResamplingLinear = 0x2fff1,
  kReductionMax = 196594,
  kReductionMin = 196595,
  kReductionSum = 196596,
  kReductionMean = 196598,
  kSoftmaxAccurate = 0x30000,
};

/// Which operand of a primitive a memory is.
enum Argument : int {
  kSrc = 1,
  kSrc1 = 2,
  kDst = 17,
  kWeights = 33,
  kBias = 41,
  kMean = 49,
  kVariance = 50,
  kScale = 51,
  kShift = 52,
  kScratchpad = 80,
  kMultipleSrc = 1024,
  kPostOpBase = 32768,  ///< times (index of the post-op + 1), or'ed with the operand
};

struct Version {
  int major;
  int minor;
  int patch;
  const char* hash;
  unsigned cpu_runtime;
  unsigned gpu_runtime;
};

struct ExecArg {
  int argument;
  dnnl_memory* memory;
};

using Desc = const dnnl_memory_desc*;
using Attr = const dnnl_primitive_attr*;

/// The functions, by their names without "dnnl_".
struct Api {
  const Version* (*version)();

  Status (*engine_create)(dnnl_engine**, EngineKind, std::size_t index);
  Status (*engine_destroy)(dnnl_engine*);
  Status (*stream_create)(dnnl_stream**, dnnl_engine*, unsigned flags);
  Status (*stream_destroy)(dnnl_stream*);
  Status (*stream_wait)(dnnl_stream*);

  Status (*memory_desc_create_with_strides)(dnnl_memory_desc**, int rank, const std::int64_t* dims, DataType,
                                            const std::int64_t* strides);
  Status (*memory_desc_create_with_tag)(dnnl_memory_desc**, int rank, const std::int64_t* dims, DataType,
                                        FormatTag);
  Status (*memory_desc_create_submemory)(dnnl_memory_desc**, Desc parent, const std::int64_t* dims,
                                         const std::int64_t* offsets);
  Status (*memory_desc_clone)(dnnl_memory_desc**, Desc);
  Status (*memory_desc_destroy)(dnnl_memory_desc*);
  std::size_t (*memory_desc_get_size)(Desc);
  Status (*memory_create)(dnnl_memory**, Desc, dnnl_engine*, void* data);
  Status (*memory_destroy)(dnnl_memory*);

  Status (*primitive_attr_create)(dnnl_primitive_attr**);
  Status (*primitive_attr_destroy)(dnnl_primitive_attr*);
  Status (*primitive_attr_set_post_ops)(dnnl_primitive_attr*, const dnnl_post_ops*);
  Status (*primitive_attr_set_scratchpad_mode)(dnnl_primitive_attr*, ScratchpadMode);
  Status (*post_ops_create)(dnnl_post_ops**);
  Status (*post_ops_destroy)(dnnl_post_ops*);
  Status (*post_ops_append_sum)(dnnl_post_ops*, float scale, std::int32_t zero_point, DataType);
  Status (*post_ops_append_eltwise)(dnnl_post_ops*, Algorithm, float alpha, float beta);
  Status (*post_ops_append_binary)(dnnl_post_ops*, Algorithm, Desc);

  Status (*primitive_desc_query)(const dnnl_primitive_desc*, Query, int index, void* result);
  Desc (*primitive_desc_query_md)(const dnnl_primitive_desc*, Query, int index);
  Status (*primitive_desc_destroy)(dnnl_primitive_desc*);
  Status (*primitive_create)(dnnl_primitive**, const dnnl_primitive_desc*);
  Status (*primitive_execute)(const dnnl_primitive*, dnnl_stream*, int count, const ExecArg*);
  Status (*primitive_destroy)(dnnl_primitive*);

  // Each makes the description of one primitive, the first implementation that takes the operands as
  // described.
  Status (*convolution_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind,
                                                      Algorithm, Desc src, Desc weights, Desc bias, Desc dst,
                                                      const std::int64_t* strides,
                                                      const std::int64_t* dilates,
                                                      const std::int64_t* pads_begin,
                                                      const std::int64_t* pads_end, Attr);
  Status (*deconvolution_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind,
                                                        Algorithm, Desc src, Desc weights, Desc bias,
                                                        Desc dst, const std::int64_t* strides,
                                                        const std::int64_t* dilates,
                                                        const std::int64_t* pads_begin,
                                                        const std::int64_t* pads_end, Attr);
  Status (*inner_product_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind,
                                                        Desc src, Desc weights, Desc bias, Desc dst, Attr);
  Status (*matmul_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, Desc src, Desc weights,
                                         Desc bias, Desc dst, Attr);
  Status (*pooling_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind, Algorithm,
                                                  Desc src, Desc dst, const std::int64_t* strides,
                                                  const std::int64_t* kernel, const std::int64_t* dilation,
                                                  const std::int64_t* pads_begin,
                                                  const std::int64_t* pads_end, Attr);
  Status (*eltwise_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind, Algorithm,
                                                  Desc src, Desc dst, float alpha, float beta, Attr);
  Status (*binary_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, Algorithm, Desc src0, Desc src1,
                                         Desc dst, Attr);
  Status (*softmax_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind, Algorithm,
                                                  Desc src, Desc dst, int axis, Attr);
  Status (*layer_normalization_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind,
                                                              Desc src, Desc dst, Desc statistics,
                                                              float epsilon, unsigned flags, Attr);
  Status (*batch_normalization_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind,
                                                              Desc src, Desc dst, float epsilon,
                                                              unsigned flags, Attr);
  Status (*resampling_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind, Algorithm,
                                                     const float* factors, Desc src, Desc dst, Attr);
  Status (*shuffle_forward_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, PropKind, Desc src,
                                                  Desc dst, int axis, std::int64_t group_size, Attr);
  Status (*reduction_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, Algorithm, Desc src,
                                            Desc dst, float p, float epsilon, Attr);
  Status (*reorder_primitive_desc_create)(dnnl_primitive_desc**, Desc src, dnnl_engine* src_engine, Desc dst,
                                          dnnl_engine* dst_engine, Attr);
  Status (*concat_primitive_desc_create)(dnnl_primitive_desc**, dnnl_engine*, Desc dst, int count, int axis,
                                         const Desc* sources, Attr);
};

}  // namespace lutra::onednn
