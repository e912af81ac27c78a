#include "gpu/blas.hpp"

#include "gpu/content.hpp"

#include <stdexcept>
#include <utility>

namespace lutra::gpu {
namespace {

int type_of(Element element) {
  switch (element) {
    case Element::kFloat32:
      return blas::kFloat32;
    case Element::kFloat16:
      return blas::kFloat16;
    case Element::kBfloat16:
      return blas::kBfloat16;
    case Element::kInt8:
      return blas::kInt8;
    case Element::kInt32:
      return blas::kInt32;
    case Element::kFloat8:
      return blas::kFloat8E4m3;
    default:
      throw std::invalid_argument("no products of whole numbers");
  }
}

std::string text_of(const ProductSpec& spec) {
  std::string text = std::to_string(spec.m) + "x" + std::to_string(spec.k) + "x" + std::to_string(spec.n);
  return spec.batch > 1 ? std::to_string(spec.batch) + " products " + text : "a product " + text;
}

int compute_of(Math math) {
  if (math == Math::kTf32) return blas::kComputeTf32;
  return math == Math::kInt8 ? blas::kComputeInt32 : blas::kComputeFloat32;
}

void* address(cuda::Pointer pointer) { return reinterpret_cast<void*>(pointer); }

}  // namespace

Math math_named(std::string_view name) {
  if (name == "fp32") return Math::kFp32;
  if (name == "tf32") return Math::kTf32;
  if (name == "fp16") return Math::kFp16;
  if (name == "bf16") return Math::kBf16;
  if (name == "int8") return Math::kInt8;
  if (name == "fp8") return Math::kFp8;
  throw std::invalid_argument("unknown math mode '" + std::string(name) + "'");
}

Blas::Blas(std::shared_ptr<const Gpu> gpu, const Candidates& candidates)
    : gpu_(std::move(gpu)), library_("cuBLASLt", candidates) {
#define LUTRA_FIND(name, symbol, ...) library_.find(symbol, api_.name);
  LUTRA_CUBLASLT_FUNCTIONS(LUTRA_FIND)
#undef LUTRA_FIND
  library_.find("cublasLtGetVersion", api_.GetVersion);
  library_.find("cublasLtGetStatusString", api_.GetStatusString);
  version_ = api_.GetVersion();
  gpu_->enter();
  check(api_.Create(&handle_), "starting");
}

Blas::~Blas() {
  if (handle_ != nullptr) api_.Destroy(handle_);
}

void Blas::raise(blas::Status status, std::string_view what) const {
  const std::string message = "cuBLASLt " + std::to_string(version_) + " fails in " + std::string(what) +
                              ": " + api_.GetStatusString(status) + " (" + std::to_string(status) + ")";
  // A lost GPU looks like any failure here; the driver knows better.
  gpu_->check(gpu_->api().StreamSynchronize(gpu_->stream()), "looking for the reason of: " + message);
  if (status == blas::kNotInitialized || status == blas::kArchMismatch)
    throw std::runtime_error(message + "; it does not work with this driver or GPU: install another version");
  if (status == blas::kNotSupported || status == blas::kInvalidValue) throw std::invalid_argument(message);
  throw std::runtime_error(message);
}

Product::Product(std::shared_ptr<const Blas> blas, const ProductSpec& spec)
    : blas_(std::move(blas)), spec_(spec) {
  describe();
  choose();
}

Product::~Product() {
  const blas::Api& api = blas_->api();
  for (const blas::Layout layout : {left_, right_, result_})
    if (layout != nullptr) api.LayoutDestroy(layout);
  if (desc_ != nullptr) api.MatmulDescDestroy(desc_);
}

// The library's matrices are column-major: a row-major matrix is its transpose there. So d' = b' a', where b
// comes first, and the bias, which the library adds to each column, goes along n.
void Product::describe() {
  const blas::Api& api = blas_->api();
  const int type = type_of(spec_.element);
  const int made = type_of(spec_.result());
  const int scale = spec_.math == Math::kInt8 ? blas::kInt32 : blas::kFloat32;
  blas_->check(api.MatmulDescCreate(&desc_, compute_of(spec_.math), scale), "describing a product");
  const std::int32_t transpose = spec_.transposed ? 1 : 0;
  blas_->check(api.MatmulDescSetAttribute(desc_, blas::kDescTransA, &transpose, sizeof(transpose)),
               "describing a product");
  std::uint32_t epilogue = 0;
  if (spec_.relu) epilogue |= blas::kEpilogueRelu;
  if (spec_.gelu_tanh) epilogue |= blas::kEpilogueGelu;
  if (spec_.bias) epilogue |= blas::kEpilogueBias;
  if (epilogue == 0) epilogue = blas::kEpilogueDefault;
  blas_->check(api.MatmulDescSetAttribute(desc_, blas::kDescEpilogue, &epilogue, sizeof(epilogue)),
               "describing an epilogue");
  if (spec_.bias)
    blas_->check(api.MatmulDescSetAttribute(desc_, blas::kDescBiasType, &made, sizeof(made)),
                 "describing a bias");
  if (spec_.math == Math::kFp8) {
    weight_scale_ = Memory(std::shared_ptr<const Gpu>(blas_, &blas_->gpu()), sizeof(kFloat8WeightStep));
    blas_->gpu().upload(weight_scale_.pointer(), &kFloat8WeightStep, sizeof(kFloat8WeightStep));
    void* const pointer = address(weight_scale_.pointer());
    blas_->check(api.MatmulDescSetAttribute(desc_, blas::kDescScaleOfA, static_cast<const void*>(&pointer),
                                            sizeof(pointer)),
                 "giving the weights' scale");
  }
  const auto rows = static_cast<std::uint64_t>(spec_.transposed ? spec_.k : spec_.n);
  const auto columns = static_cast<std::uint64_t>(spec_.transposed ? spec_.n : spec_.k);
  const auto m = static_cast<std::uint64_t>(spec_.m);
  blas_->check(api.LayoutCreate(&left_, type, rows, columns, static_cast<std::int64_t>(rows)), "a layout");
  blas_->check(api.LayoutCreate(&right_, type, static_cast<std::uint64_t>(spec_.k), m, spec_.k), "a layout");
  blas_->check(api.LayoutCreate(&result_, made, static_cast<std::uint64_t>(spec_.n), m, spec_.n), "a layout");
  if (spec_.batch == 1) return;
  const auto count = static_cast<std::int32_t>(spec_.batch);
  const std::pair<blas::Layout, std::int64_t> strides[] = {
      {left_, spec_.n * spec_.k}, {right_, spec_.m * spec_.k}, {result_, spec_.m * spec_.n}};
  for (const auto& [layout, stride] : strides) {
    blas_->check(api.LayoutSetAttribute(layout, blas::kLayoutBatchCount, &count, sizeof(count)), "a batch");
    blas_->check(api.LayoutSetAttribute(layout, blas::kLayoutBatchStride, &stride, sizeof(stride)),
                 "a batch");
  }
}

void Product::choose() {
  const blas::Api& api = blas_->api();
  blas::Preference preference = nullptr;
  blas_->check(api.PreferenceCreate(&preference), "a preference");
  const std::uint64_t most = kWorkspaceBytes;
  api.PreferenceSetAttribute(preference, blas::kPreferenceWorkspaceBytes, &most, sizeof(most));
  blas::HeuristicResult found{};
  int count = 0;
  const blas::Status status = api.AlgoGetHeuristic(blas_->handle(), desc_, left_, right_, result_, result_,
                                                   preference, 1, &found, &count);
  api.PreferenceDestroy(preference);
  if (status == blas::kNotSupported || (status == blas::kSuccess && count == 0))
    throw std::invalid_argument("cuBLASLt has no algorithm for " + text_of(spec_));
  blas_->check(status, "choosing an algorithm for " + text_of(spec_));
  blas_->check(found.state, "choosing an algorithm for " + text_of(spec_));
  algorithm_ = found.algo;
  workspace_bytes_ = found.workspace_bytes;
  implementation_ = "cublasLt " + std::to_string(algorithm_number(blas::kAlgoId)) + " tile " +
                    std::to_string(algorithm_number(blas::kAlgoTile)) + " stages " +
                    std::to_string(algorithm_number(blas::kAlgoStages)) + " split " +
                    std::to_string(algorithm_number(blas::kAlgoSplitK));
  if (spec_.bias) implementation_ += " + bias";
  if (spec_.adds) implementation_ += " + residual";
  if (spec_.relu) implementation_ += " + relu";
  if (spec_.gelu_tanh) implementation_ += " + gelu";
}

int Product::algorithm_number(int attribute) const {
  int value = 0;
  std::size_t written = 0;
  return blas_->api().AlgoConfigGetAttribute(&algorithm_, attribute, &value, sizeof(value), &written) ==
                 blas::kSuccess
             ? value
             : -1;
}

void Product::enqueue(float alpha, cuda::Pointer a, cuda::Pointer b, cuda::Pointer c, cuda::Pointer bias,
                      cuda::Pointer d, cuda::Pointer workspace) const {
  const blas::Api& api = blas_->api();
  if (spec_.bias) {
    void* const pointer = address(bias);
    blas_->check(api.MatmulDescSetAttribute(desc_, blas::kDescBiasPointer, static_cast<const void*>(&pointer),
                                            sizeof(pointer)),
                 "giving the bias");
  }
  const float beta = spec_.adds ? 1.0F : 0.0F;
  const std::int32_t whole[] = {1, 0};  // of int8 products, which are scaled afterwards
  const bool int8 = spec_.math == Math::kInt8;
  const void* const times = int8 ? static_cast<const void*>(&whole[0]) : &alpha;
  const void* const plus = int8 ? static_cast<const void*>(&whole[1]) : &beta;
  blas_->check(api.Matmul(blas_->handle(), desc_, times, address(b), left_, address(a), right_, plus,
                          address(spec_.adds ? c : d), result_, address(d), result_, &algorithm_,
                          address(workspace), workspace_bytes_, blas_->gpu().stream()),
               text_of(spec_));
}

}  // namespace lutra::gpu
