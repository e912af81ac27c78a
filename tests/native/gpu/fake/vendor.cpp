// A fake of cuBLASLt and cuDNN: plain loops, and the refusals that the real ones are known for.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "device.hpp"
#include "gpu/api/cublaslt.hpp"
#include "gpu/api/cudnn.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace blas = lutra::gpu::blas;
namespace dnn = lutra::gpu::dnn;

namespace {

/// How numbers are kept.
enum Kind { kFloat, kHalf, kBfloat, kByte, kWhole, kE4m3 };

double float8(unsigned char code) {
  const int exponent = code >> 3 & 15;
  const double mantissa = code & 7;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8.0 + mantissa, exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

double read(const void* data, Kind kind, std::int64_t at) {
  if (kind == kFloat) return static_cast<const float*>(data)[at];
  if (kind == kByte) return static_cast<const signed char*>(data)[at];
  if (kind == kE4m3) return float8(static_cast<const unsigned char*>(data)[at]);
  const unsigned short bits = static_cast<const unsigned short*>(data)[at];
  return kind == kHalf ? lutra_half_to_float(bits) : lutra_bits_float(static_cast<unsigned>(bits) << 16);
}

void write(void* data, Kind kind, std::int64_t at, double value) {
  const auto narrow = static_cast<float>(value);
  if (kind == kFloat) {
    static_cast<float*>(data)[at] = narrow;
  } else if (kind == kByte) {
    static_cast<signed char*>(data)[at] =
        static_cast<signed char>(std::nearbyint(std::min(std::max(value, -128.0), 127.0)));
  } else if (kind == kWhole) {
    static_cast<int*>(data)[at] = static_cast<int>(value);
  } else if (kind == kHalf) {
    static_cast<unsigned short*>(data)[at] = lutra_float_to_half(narrow);
  } else {
    const unsigned bits = lutra_float_bits(narrow);
    static_cast<unsigned short*>(data)[at] =
        static_cast<unsigned short>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
  }
}

Kind blas_kind(int type) {
  switch (type) {
    case blas::kFloat16:
      return kHalf;
    case blas::kBfloat16:
      return kBfloat;
    case blas::kInt8:
      return kByte;
    case blas::kInt32:
      return kWhole;
    case blas::kFloat8E4m3:
      return kE4m3;
    default:
      return kFloat;
  }
}

Kind dnn_kind(int type) {
  return type == dnn::kFloat16    ? kHalf
         : type == dnn::kBfloat16 ? kBfloat
         : type == dnn::kInt8     ? kByte
                                  : kFloat;
}

}  // namespace

// --- cuBLASLt ---

struct cublasLtContext {};
namespace lutra::gpu::blas {
struct MatmulDescOpaque {
  std::int32_t transpose = 0;
  std::uint32_t epilogue = 1;
  void* bias = nullptr;
  int bias_type = -1;
  const float* scale_of_a = nullptr;
  int compute = 0;
  int scale_type = 0;
};
struct LayoutOpaque {
  int type;
  std::int64_t rows, columns, ld;
  std::int32_t batch = 1;
  std::int64_t stride = 0;
};
struct PreferenceOpaque {};
}  // namespace lutra::gpu::blas

EXPORT std::size_t cublasLtGetVersion() { return 130002; }
EXPORT const char* cublasLtGetStatusString(int) { return "it was told to fail"; }
EXPORT int cublasLtCreate(cublasLtContext** handle) {
  *handle = new cublasLtContext;
  return 0;
}
EXPORT int cublasLtDestroy(cublasLtContext* handle) {
  delete handle;
  return 0;
}
EXPORT int cublasLtMatmulDescCreate(blas::MatmulDesc* desc, int compute, int scale_type) {
  *desc = new blas::MatmulDescOpaque{.compute = compute, .scale_type = scale_type};
  return 0;
}
EXPORT int cublasLtMatmulDescDestroy(blas::MatmulDesc desc) {
  delete desc;
  return 0;
}
EXPORT int cublasLtMatmulDescSetAttribute(blas::MatmulDesc desc, int attribute, const void* value,
                                          std::size_t size) {
  if (attribute == blas::kDescTransA && size == 4)
    std::memcpy(&desc->transpose, value, size);
  else if (attribute == blas::kDescEpilogue && size == 4)
    std::memcpy(&desc->epilogue, value, size);
  else if (attribute == blas::kDescBiasPointer && size == 8)
    std::memcpy(&desc->bias, value, size);
  else if (attribute == blas::kDescScaleOfA && size == 8)
    std::memcpy(&desc->scale_of_a, value, size);
  else if (attribute == blas::kDescBiasType && size == 4)
    std::memcpy(&desc->bias_type, value, size);
  else
    return blas::kInvalidValue;
  return 0;
}
EXPORT int cublasLtMatrixLayoutCreate(blas::Layout* layout, int type, std::uint64_t rows,
                                      std::uint64_t columns, std::int64_t ld) {
  *layout =
      new blas::LayoutOpaque{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld};
  return 0;
}
EXPORT int cublasLtMatrixLayoutDestroy(blas::Layout layout) {
  delete layout;
  return 0;
}
EXPORT int cublasLtMatrixLayoutSetAttribute(blas::Layout layout, int attribute, const void* value,
                                            std::size_t size) {
  if (attribute == blas::kLayoutBatchCount && size == 4)
    std::memcpy(&layout->batch, value, size);
  else if (attribute == blas::kLayoutBatchStride && size == 8)
    std::memcpy(&layout->stride, value, size);
  else
    return blas::kInvalidValue;
  return 0;
}
EXPORT int cublasLtMatmulPreferenceCreate(blas::Preference* preference) {
  *preference = new blas::PreferenceOpaque;
  return 0;
}
EXPORT int cublasLtMatmulPreferenceDestroy(blas::Preference preference) {
  delete preference;
  return 0;
}
EXPORT int cublasLtMatmulPreferenceSetAttribute(blas::Preference, int, const void*, std::size_t) { return 0; }
EXPORT int cublasLtMatmulAlgoGetHeuristic(cublasLtContext*, blas::MatmulDesc desc, blas::Layout a,
                                          blas::Layout b, blas::Layout, blas::Layout d, blas::Preference, int,
                                          blas::HeuristicResult* result, int* count) {
  // In 8 bits: A transposed and B not, rows aligned, the right types of sums and results.
  if (a->type == blas::kInt8 || a->type == blas::kFloat8E4m3) {
    const bool int8 = a->type == blas::kInt8;
    const std::int64_t aligned = int8 ? 4 : 16;
    if (desc->transpose == 0 || b->type != a->type || a->rows % aligned != 0 || d->rows % aligned != 0)
      return blas::kNotSupported;
    if (int8 && (desc->compute != blas::kComputeInt32 || desc->scale_type != blas::kInt32 ||
                 d->type != blas::kInt32 || desc->epilogue != blas::kEpilogueDefault))
      return blas::kNotSupported;
    if (!int8 && d->type != blas::kFloat16) return blas::kNotSupported;
  }
  const bool plain = desc->epilogue == blas::kEpilogueDefault;
  *count = plain || d->rows % 8 == 0 ? 1 : 0;  // epilogues want aligned rows
  *result = {};
  result->workspace_bytes = 1024;
  return 0;
}
EXPORT int cublasLtMatmulAlgoConfigGetAttribute(const blas::Algo*, int attribute, void* value, std::size_t,
                                                std::size_t* written) {
  *static_cast<int*>(value) = attribute;
  *written = 4;
  return 0;
}
EXPORT int cublasLtMatmul(cublasLtContext*, blas::MatmulDesc desc, const void* alpha, const void* a,
                          blas::Layout a_layout, const void* b, blas::Layout b_layout, const void* beta,
                          const void* c, blas::Layout, void* d, blas::Layout d_layout, const blas::Algo*,
                          void* workspace, std::size_t bytes, CUstream_st* stream) {
  if (bytes < 1024 || workspace == nullptr) return blas::kInvalidValue;
  const bool whole = desc->scale_type == blas::kInt32;
  const double scale = (whole ? *static_cast<const int*>(alpha) : *static_cast<const float*>(alpha)) *
                       (desc->scale_of_a != nullptr ? *desc->scale_of_a : 1.0F);
  const double add = whole ? *static_cast<const int*>(beta) : *static_cast<const float*>(beta);
  const blas::MatmulDescOpaque how = *desc;
  const blas::LayoutOpaque left = *a_layout;
  const blas::LayoutOpaque right = *b_layout;
  const blas::LayoutOpaque result = *d_layout;
  const Kind operand = blas_kind(left.type);
  const Kind kind = blas_kind(result.type);
  const std::int64_t inner = how.transpose != 0 ? left.rows : left.columns;
  if (inner != right.rows || result.columns != right.columns) return blas::kInvalidValue;
  return fake::submit(
             stream,
             2000 + static_cast<unsigned long long>(result.rows * result.columns * inner * result.batch / 64),
             [=] {
               if (fake::setting("compute") == 0) return;
               for (std::int64_t batch = 0; batch < result.batch; ++batch)
                 for (std::int64_t column = 0; column < result.columns; ++column)
                   for (std::int64_t row = 0; row < result.rows; ++row) {
                     double sum = 0.0;
                     for (std::int64_t k = 0; k < inner; ++k) {
                       const std::int64_t at = how.transpose != 0 ? k + row * left.ld : row + k * left.ld;
                       sum += read(a, operand, batch * left.stride + at) *
                              read(b, operand, batch * right.stride + k + column * right.ld);
                     }
                     const std::int64_t at = batch * result.stride + row + column * result.ld;
                     double value = scale * sum;
                     if (add != 0.0) value += add * read(c, kind, at);
                     if ((how.epilogue & blas::kEpilogueBias) != 0) value += read(how.bias, kind, row);
                     if ((how.epilogue & blas::kEpilogueRelu) != 0) value = std::max(value, 0.0);
                     if ((how.epilogue & blas::kEpilogueGelu) != 0)
                       value = 0.5 * value *
                               (1.0 + std::tanh(0.79788456 * (value + 0.044715 * value * value * value)));
                     write(d, kind, at, value);
                   }
             }) == 0
             ? 0
             : 13;
}

// --- cuDNN ---

struct cudnnContext {
  CUstream_st* stream = nullptr;
};
namespace lutra::gpu::dnn {
struct TensorOpaque {
  int format, type, n, c, h, w;
};
struct FilterOpaque {
  int type, format, k, c, h, w;
};
struct ConvolutionOpaque {
  int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, type, math = 0, groups = 1;
};
struct ActivationOpaque {
  int mode;
};
}  // namespace lutra::gpu::dnn

namespace {

std::int64_t place(int format, int channels, int height, int width, int n, int c, int h, int w) {
  if (format == dnn::kNhwc) return ((std::int64_t{n} * height + h) * width + w) * channels + c;
  return ((std::int64_t{n} * channels + c) * height + h) * width + w;
}

int convolve(cudnnContext* handle, float alpha, const dnn::TensorOpaque& xd, const void* x,
             const dnn::FilterOpaque& wd, const void* w, const dnn::ConvolutionOpaque& cd,
             const dnn::TensorOpaque& yd, void* y, const void* bias, const void* z, bool relu) {
  const Kind kind = dnn_kind(xd.type);
  // int8 convolutions know one layout, count in int32 and take channels by fours.
  const bool int8 = kind == kByte;
  if (int8 != (cd.type == dnn::kInt32)) return dnn::kBadParameter;
  if (int8 && (xd.format != dnn::kNhwc || xd.c % 4 != 0 || yd.c % 4 != 0 || cd.groups > 1))
    return dnn::kNotSupported;
  const std::int64_t macs = std::int64_t{yd.n} * yd.c * yd.h * yd.w * wd.c * wd.h * wd.w;
  const int status = fake::submit(handle->stream, 3000 + static_cast<unsigned long long>(macs / 64), [=] {
    if (fake::setting("compute") == 0) return;
    const int per_group = yd.c / cd.groups;
    for (int n = 0; n < yd.n; ++n)
      for (int k = 0; k < yd.c; ++k)
        for (int row = 0; row < yd.h; ++row)
          for (int column = 0; column < yd.w; ++column) {
            double sum = 0.0;
            for (int c = 0; c < wd.c; ++c)
              for (int r = 0; r < wd.h; ++r)
                for (int s = 0; s < wd.w; ++s) {
                  const int h = row * cd.stride_h - cd.pad_h + r * cd.dilation_h;
                  const int v = column * cd.stride_w - cd.pad_w + s * cd.dilation_w;
                  if (h < 0 || v < 0 || h >= xd.h || v >= xd.w) continue;
                  sum +=
                      read(x, kind, place(xd.format, xd.c, xd.h, xd.w, n, k / per_group * wd.c + c, h, v)) *
                      read(w, kind, place(wd.format, wd.c, wd.h, wd.w, k, c, r, s));
                }
            const std::int64_t at = place(yd.format, yd.c, yd.h, yd.w, n, k, row, column);
            sum *= alpha;
            if (bias != nullptr) sum += read(bias, int8 ? kFloat : kind, k);
            if (z != nullptr) sum += read(z, kind, at);
            write(y, kind, at, relu ? std::max(sum, 0.0) : sum);
          }
  });
  return status == 0 ? 0 : 5000;
}

}  // namespace

EXPORT std::size_t cudnnGetVersion() { return 92801; }
EXPORT const char* cudnnGetErrorString(int) { return "it was told to fail"; }
EXPORT int cudnnCreate(cudnnContext** handle) {
  *handle = new cudnnContext;
  return 0;
}
EXPORT int cudnnDestroy(cudnnContext* handle) {
  delete handle;
  return 0;
}
EXPORT int cudnnSetStream(cudnnContext* handle, CUstream_st* stream) {
  handle->stream = stream;
  return 0;
}
EXPORT int cudnnCreateTensorDescriptor(dnn::Tensor* made) {
  *made = new dnn::TensorOpaque{};
  return 0;
}
EXPORT int cudnnDestroyTensorDescriptor(dnn::Tensor tensor) {
  delete tensor;
  return 0;
}
EXPORT int cudnnSetTensor4dDescriptor(dnn::Tensor tensor, int format, int type, int n, int c, int h, int w) {
  *tensor = {format, type, n, c, h, w};
  return 0;
}
EXPORT int cudnnCreateFilterDescriptor(dnn::Filter* made) {
  *made = new dnn::FilterOpaque{};
  return 0;
}
EXPORT int cudnnDestroyFilterDescriptor(dnn::Filter filter) {
  delete filter;
  return 0;
}
EXPORT int cudnnSetFilter4dDescriptor(dnn::Filter filter, int type, int format, int k, int c, int h, int w) {
  *filter = {type, format, k, c, h, w};
  return 0;
}
EXPORT int cudnnCreateConvolutionDescriptor(dnn::Convolution* made) {
  *made = new dnn::ConvolutionOpaque{};
  return 0;
}
EXPORT int cudnnDestroyConvolutionDescriptor(dnn::Convolution convolution) {
  delete convolution;
  return 0;
}
EXPORT int cudnnSetConvolution2dDescriptor(dnn::Convolution convolution, int pad_h, int pad_w, int u, int v,
                                           int dilation_h, int dilation_w, int mode, int type) {
  if (mode != dnn::kCrossCorrelation || (type != dnn::kFloat32 && type != dnn::kInt32))
    return dnn::kBadParameter;
  *convolution = {pad_h, pad_w, u, v, dilation_h, dilation_w, type};
  return 0;
}
EXPORT int cudnnSetConvolutionMathType(dnn::Convolution convolution, int math) {
  convolution->math = math;
  return 0;
}
EXPORT int cudnnSetConvolutionGroupCount(dnn::Convolution convolution, int groups) {
  convolution->groups = groups;
  return 0;
}
EXPORT int cudnnCreateActivationDescriptor(dnn::Activation* made) {
  *made = new dnn::ActivationOpaque{};
  return 0;
}
EXPORT int cudnnDestroyActivationDescriptor(dnn::Activation activation) {
  delete activation;
  return 0;
}
EXPORT int cudnnSetActivationDescriptor(dnn::Activation activation, int mode, int, double) {
  activation->mode = mode;
  return 0;
}
EXPORT int cudnnGetConvolutionForwardAlgorithm_v7(cudnnContext*, dnn::Tensor, dnn::Filter,
                                                  dnn::Convolution convolution, dnn::Tensor, int wanted,
                                                  int* count, dnn::AlgoPerf* found) {
  if (wanted < 2) return dnn::kBadParameter;
  found[0] = {7, 0, 0.0F, 4096, 0, convolution->math, {}};
  found[1] = {dnn::kImplicitPrecompGemm, 0, 0.0F, 512, 1, convolution->math, {}};
  *count = 2;
  return 0;
}
EXPORT int cudnnGetConvolutionForwardWorkspaceSize(cudnnContext*, dnn::Tensor, dnn::Filter, dnn::Convolution,
                                                   dnn::Tensor, int algorithm, std::size_t* bytes) {
  *bytes = algorithm == 7 ? 4096 : 512;
  return 0;
}
EXPORT int cudnnConvolutionForward(cudnnContext* handle, const void* alpha, dnn::Tensor xd, const void* x,
                                   dnn::Filter wd, const void* w, dnn::Convolution cd, int, void* workspace,
                                   std::size_t bytes, const void*, dnn::Tensor yd, void* y) {
  if (workspace == nullptr || bytes < 512) return dnn::kBadParameter;
  return convolve(handle, *static_cast<const float*>(alpha), *xd, x, *wd, w, *cd, *yd, y, nullptr, nullptr,
                  false);
}
EXPORT int cudnnConvolutionBiasActivationForward(cudnnContext* handle, const void* alpha, dnn::Tensor xd,
                                                 const void* x, dnn::Filter wd, const void* w,
                                                 dnn::Convolution cd, int algorithm, void* workspace,
                                                 std::size_t, const void* alpha2, dnn::Tensor, const void* z,
                                                 dnn::Tensor, const void* bias, dnn::Activation activation,
                                                 dnn::Tensor yd, void* y) {
  if (workspace == nullptr || z == nullptr || bias == nullptr) return 2002;
  if (fake::setting("refuse") != 0 || cd->groups > 1) return dnn::kNotSupported;
  if (activation->mode == dnn::kIdentity && algorithm != dnn::kImplicitPrecompGemm) return dnn::kNotSupported;
  const bool adds = *static_cast<const float*>(alpha2) != 0.0F;
  return convolve(handle, *static_cast<const float*>(alpha), *xd, x, *wd, w, *cd, *yd, y, bias,
                  adds ? z : nullptr, activation->mode == dnn::kRelu);
}
