#include "gpu/convolution.hpp"

#include <dlfcn.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "gpu/content.hpp"

namespace lutra::gpu {
namespace {

constexpr std::array<const char*, dnn::kAlgoCount> kAlgorithms = {
    "implicit gemm", "implicit precomputed gemm", "gemm", "direct", "fft", "fft tiling",
    "winograd",      "winograd nonfused"};

int type_of(Element element) {
  switch (element) {
    case Element::kFloat32:
      return dnn::kFloat32;
    case Element::kFloat16:
      return dnn::kFloat16;
    case Element::kBfloat16:
      return dnn::kBfloat16;
    case Element::kInt8:
      return dnn::kInt8;
    default:
      throw std::invalid_argument("no convolutions of whole numbers");
  }
}

int math_of(Math math) {
  switch (math) {
    case Math::kFp32:
      return dnn::kFma;
    case Math::kTf32:
      return 0;
    default:
      return dnn::kTensorOps;
  }
}

std::string text_of(const ConvolutionSpec& spec) {
  return "a convolution " + std::to_string(spec.kernel_height) + "x" + std::to_string(spec.kernel_width) +
         " " + std::to_string(spec.channels) + "->" + std::to_string(spec.out_channels) + " in " +
         std::to_string(spec.groups) + " groups on " + std::to_string(spec.batch) + "x" +
         std::to_string(spec.height) + "x" + std::to_string(spec.width);
}

bool is_refusal(dnn::Status status) {
  return status >= dnn::kBadParameter && status < dnn::kNotSupported + 1000;
}

SharedLibrary open_behind(const Candidates& candidates, const std::vector<std::string>& parts) {
  SharedLibrary library("cuDNN", candidates);
  // The library opens its parts by name when it needs them: what is there already is what it finds.
  for (const std::string& path : parts) dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  return library;
}

void* address(cuda::Pointer pointer) { return reinterpret_cast<void*>(pointer); }

}  // namespace

Dnn::Dnn(std::shared_ptr<const Gpu> gpu, const Candidates& candidates, const std::vector<std::string>& parts)
    : gpu_(std::move(gpu)), library_(open_behind(candidates, parts)) {
#define LUTRA_FIND(name, symbol, ...) library_.find(symbol, api_.name);
  LUTRA_CUDNN_FUNCTIONS(LUTRA_FIND)
#undef LUTRA_FIND
  library_.find("cudnnGetVersion", api_.GetVersion);
  library_.find("cudnnGetErrorString", api_.GetErrorString);
  version_ = api_.GetVersion();
  if (version_ / 10000 != 9)
    throw std::runtime_error("'" + path() + "' is cuDNN " + std::to_string(version_) +
                             ", but version 9 is needed");
  gpu_->enter();
  check(api_.Create(&handle_), "starting");
  check(api_.SetStream(handle_, gpu_->stream()), "taking the stream");
}

Dnn::~Dnn() {
  if (handle_ != nullptr) api_.Destroy(handle_);
}

void Dnn::raise(dnn::Status status, std::string_view what) const {
  const std::string message = "cuDNN " + std::to_string(version_) + " fails in " + std::string(what) + ": " +
                              api_.GetErrorString(status) + " (" + std::to_string(status) + ")";
  if (handle_ != nullptr)  // a lost GPU looks like any failure here; the driver knows better
    gpu_->check(gpu_->api().StreamSynchronize(gpu_->stream()), "looking for the reason of: " + message);
  if (status == dnn::kSublibraryMismatch || status == dnn::kSublibraryMissing)
    throw std::runtime_error(message + "; its parts are of different versions: install nvidia-cudnn anew");
  if (status == dnn::kNotInitialized || status == dnn::kDriverTooOld)
    throw std::runtime_error(message + "; it does not work with this driver or GPU: install another version");
  if (is_refusal(status)) throw std::invalid_argument(message);
  throw std::runtime_error(message);
}

Convolution::Convolution(std::shared_ptr<const Dnn> dnn, const ConvolutionSpec& spec)
    : dnn_(std::move(dnn)), spec_(spec) {
  describe();
  choose();
}

Convolution::~Convolution() {
  const dnn::Api& api = dnn_->api();
  for (const dnn::Tensor tensor : {x_, y_, bias_})
    if (tensor != nullptr) api.DestroyTensor(tensor);
  if (w_ != nullptr) api.DestroyFilter(w_);
  if (convolution_ != nullptr) api.DestroyConvolution(convolution_);
  if (activation_ != nullptr) api.DestroyActivation(activation_);
}

void Convolution::describe() {
  const dnn::Api& api = dnn_->api();
  const int type = type_of(spec_.element);
  const int format = spec_.channels_last ? dnn::kNhwc : dnn::kNchw;
  const bool int8 = spec_.element == Element::kInt8;
  const auto tensor = [&](dnn::Tensor& made, int of, int n, int c, int h, int w) {
    dnn_->check(api.CreateTensor(&made), "describing a tensor");
    dnn_->check(api.SetTensor4d(made, format, of, n, c, h, w), "describing a tensor");
  };
  tensor(x_, type, spec_.batch, spec_.channels, spec_.height, spec_.width);
  tensor(y_, type, spec_.batch, spec_.out_channels, spec_.out_height, spec_.out_width);
  tensor(bias_, int8 ? dnn::kFloat32 : type, 1, spec_.out_channels, 1, 1);
  dnn_->check(api.CreateFilter(&w_), "describing filters");
  dnn_->check(api.SetFilter4d(w_, type, format, spec_.out_channels, spec_.channels / spec_.groups,
                              spec_.kernel_height, spec_.kernel_width),
              "describing filters");
  dnn_->check(api.CreateConvolution(&convolution_), "describing a convolution");
  dnn_->check(api.SetConvolution2d(convolution_, spec_.pad_height, spec_.pad_width, spec_.stride_height,
                                   spec_.stride_width, spec_.dilation_height, spec_.dilation_width,
                                   dnn::kCrossCorrelation, int8 ? dnn::kInt32 : dnn::kFloat32),
              "describing a convolution");
  dnn_->check(api.SetGroupCount(convolution_, spec_.groups), "describing a convolution");
  dnn_->check(api.SetMathType(convolution_, math_of(spec_.math)), "describing a convolution");
  dnn_->check(api.CreateActivation(&activation_), "describing an activation");
  dnn_->check(
      api.SetActivation(activation_, spec_.relu ? dnn::kRelu : dnn::kIdentity, dnn::kPropagateNan, 0.0),
      "describing an activation");
}

void Convolution::choose() {
  std::array<dnn::AlgoPerf, dnn::kAlgoCount> found{};
  int count = 0;
  dnn_->check(dnn_->api().GetAlgorithms(dnn_->handle(), x_, w_, convolution_, y_, dnn::kAlgoCount, &count,
                                        found.data()),
              "choosing an algorithm for " + text_of(spec_));
  const bool wanted = spec_.bias && (spec_.relu || !spec_.activates);
  for (const bool fused : {true, false}) {
    if (fused && !wanted) continue;
    for (int i = 0; i < count; ++i) {
      const dnn::AlgoPerf& algorithm = found[static_cast<std::size_t>(i)];
      // Without relu the fused form has one algorithm only.
      if (fused && !spec_.relu && algorithm.algo != dnn::kImplicitPrecompGemm) continue;
      if (accepts(algorithm, fused)) return;
    }
  }
  throw std::invalid_argument("cuDNN " + std::to_string(dnn_->version()) + " has no algorithm for " +
                              text_of(spec_));
}

/// Whether the library really runs it; the heuristic does not know what the fused form lacks.
bool Convolution::accepts(const dnn::AlgoPerf& algorithm, bool fused) {
  if (algorithm.status != dnn::kSuccess) return false;
  const dnn::Api& api = dnn_->api();
  const bool float32 = spec_.element == Element::kFloat32;
  // In float32 the heuristic may suggest tensor cores, which fp32 excludes.
  if (!(float32 && spec_.math == Math::kFp32) &&
      api.SetMathType(convolution_, algorithm.math) != dnn::kSuccess)
    return false;
  algorithm_ = algorithm.algo;
  if (api.GetWorkspaceSize(dnn_->handle(), x_, w_, convolution_, y_, algorithm_, &workspace_bytes_) !=
      dnn::kSuccess)
    return false;
  const auto bytes = [&](std::int64_t count) {
    return static_cast<std::size_t>(count) * element_bytes(spec_.element);
  };
  const std::int64_t in = std::int64_t{spec_.batch} * spec_.channels * spec_.height * spec_.width;
  const std::int64_t out =
      std::int64_t{spec_.batch} * spec_.out_channels * spec_.out_height * spec_.out_width;
  const std::int64_t filter = std::int64_t{spec_.out_channels} * (spec_.channels / spec_.groups) *
                              spec_.kernel_height * spec_.kernel_width;
  // Memory of no meaning: only whether it runs is asked.
  const std::shared_ptr<const Gpu> gpu(std::shared_ptr<const Gpu>(), &dnn_->gpu());
  const Memory x(gpu, bytes(in));
  const Memory w(gpu, bytes(filter));
  const Memory bias(gpu, static_cast<std::size_t>(spec_.out_channels) * sizeof(float));
  const Memory y(gpu, bytes(out));
  const Memory workspace(gpu, workspace_bytes_);
  const dnn::Status status = run(fused, address(x.pointer()), address(w.pointer()), address(bias.pointer()),
                                 address(y.pointer()), address(y.pointer()), address(workspace.pointer()));
  if (is_refusal(status)) return false;
  dnn_->check(status, text_of(spec_));
  dnn_->gpu().synchronize();
  fused_ = fused;
  implementation_ = std::string("cudnn ") + kAlgorithms.at(static_cast<std::size_t>(algorithm_));
  if (fused && spec_.bias) implementation_ += " + bias";
  if (fused && spec_.residual) implementation_ += " + residual";
  if (fused && spec_.relu) implementation_ += " + relu";
  return true;
}

dnn::Status Convolution::run(bool fused, const void* x, const void* w, const void* bias, const void* residual,
                             void* y, void* workspace) const {
  const dnn::Api& api = dnn_->api();
  const float one = 1.0F;
  const float zero = 0.0F;
  // Activations have one scale, so what is left to scale by is that of the weights.
  const float scale = spec_.element == Element::kInt8 ? kInt8WeightStep : one;
  if (!fused)
    return api.ConvolutionForward(dnn_->handle(), &scale, x_, x, w_, w, convolution_, algorithm_, workspace,
                                  workspace_bytes_, &zero, y_, y);
  const float* add = spec_.residual ? &one : &zero;
  return api.ConvolutionBiasActivationForward(dnn_->handle(), &scale, x_, x, w_, w, convolution_, algorithm_,
                                              workspace, workspace_bytes_, add, y_,
                                              spec_.residual ? residual : y, bias_, bias, activation_, y_, y);
}

void Convolution::enqueue(cuda::Pointer x, cuda::Pointer w, cuda::Pointer bias, cuda::Pointer residual,
                          cuda::Pointer y, cuda::Pointer workspace) const {
  dnn_->check(
      run(fused_, address(x), address(w), address(bias), address(residual), address(y), address(workspace)),
      text_of(spec_));
}

}  // namespace lutra::gpu
