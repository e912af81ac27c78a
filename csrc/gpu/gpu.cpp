#include "gpu/gpu.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "gpu/ahead.hpp"

namespace lutra::gpu {
namespace {

constexpr int kToolsModule = -1;

}  // namespace

Element element_named(std::string_view name) {
  if (name == "float32") return Element::kFloat32;
  if (name == "float16") return Element::kFloat16;
  if (name == "bfloat16") return Element::kBfloat16;
  if (name == "int8") return Element::kInt8;
  if (name == "int64") return Element::kInt64;
  if (name == "float8") return Element::kFloat8;
  throw std::invalid_argument("no tensors of " + std::string(name) + " on a GPU");
}

std::size_t element_bytes(Element element) {
  switch (element) {
    case Element::kFloat32:
    case Element::kInt32:
      return 4;
    case Element::kInt64:
      return 8;
    case Element::kInt8:
    case Element::kFloat8:
      return 1;
    default:
      return 2;
  }
}

Memory::Memory(std::shared_ptr<const Gpu> gpu, std::size_t bytes) : gpu_(std::move(gpu)), bytes_(bytes) {
  if (bytes == 0) return;
  gpu_->enter();
  const cuda::Result result = gpu_->api().MemAlloc(&pointer_, bytes);
  if (result == cuda::kOutOfMemory) throw OutOfGpuMemory(bytes, gpu_->free_bytes());
  gpu_->check(result, "allocating " + bytes_text(bytes));
}

Memory::Memory(Memory&& other) noexcept
    : gpu_(std::move(other.gpu_)),
      pointer_(std::exchange(other.pointer_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(pointer_, other.pointer_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Memory::~Memory() {
  if (pointer_ == 0) return;
  try {
    gpu_->enter();
  } catch (const std::exception&) {
    return;  // the GPU is gone, and its memory with it
  }
  gpu_->api().MemFree(pointer_);
}

Stopwatch::Stopwatch(const Gpu& gpu) : gpu_(gpu) {
  gpu.enter();
  gpu.check(gpu.api().EventCreate(&begin_, cuda::kEventDefault), "creating an event");
  gpu.check(gpu.api().EventCreate(&end_, cuda::kEventDefault), "creating an event");
}

Stopwatch::~Stopwatch() {
  for (const cuda::Event event : {begin_, end_})
    if (event != nullptr) gpu_.api().EventDestroy(event);
}

void Stopwatch::start() const {
  gpu_.check(gpu_.api().EventRecord(begin_, gpu_.stream()), "recording an event");
}

void Stopwatch::stop() const {
  gpu_.check(gpu_.api().EventRecord(end_, gpu_.stream()), "recording an event");
}

std::int64_t Stopwatch::elapsed_ns() const {
  gpu_.check(gpu_.api().EventSynchronize(end_), "running what is measured");
  float milliseconds = 0.0F;
  gpu_.check(gpu_.api().EventElapsedTime(&milliseconds, begin_, end_), "reading an event");
  return std::llround(static_cast<double>(milliseconds) * 1e6);
}

void Recording::begin() const {
  gpu_.check(gpu_.api().StreamBeginCapture(gpu_.stream(), cuda::kCaptureThreadLocal), "capturing a graph");
}

void Recording::abandon() const {
  cuda::Graph graph = nullptr;
  if (gpu_.api().StreamEndCapture(gpu_.stream(), &graph) == cuda::kSuccess && graph != nullptr)
    gpu_.api().GraphDestroy(graph);
}

void Recording::end() {
  cuda::Graph graph = nullptr;
  gpu_.check(gpu_.api().StreamEndCapture(gpu_.stream(), &graph), "capturing a graph");
  const cuda::Result result = gpu_.api().GraphInstantiate(&executable_, graph, 0);
  gpu_.api().GraphDestroy(graph);
  gpu_.check(result, "making a graph ready");
  gpu_.check(gpu_.api().GraphUpload(executable_, gpu_.stream()), "uploading a graph");
}

Recording::~Recording() {
  if (executable_ != nullptr) gpu_.api().GraphExecDestroy(executable_);
}

void Recording::launch() const {
  gpu_.check(gpu_.api().GraphLaunch(executable_, gpu_.stream()), "launching a graph");
}

Gpu::Gpu(std::shared_ptr<const Driver> driver, std::shared_ptr<const Compiler> compiler, int index)
    : driver_(std::move(driver)), compiler_(std::move(compiler)) {
  const std::vector<DeviceInfo> devices = driver_->devices();
  if (index < 0 || static_cast<std::size_t>(index) >= devices.size())
    throw std::runtime_error("there is no GPU " + std::to_string(index) + "; the driver shows " +
                             std::to_string(devices.size()));
  info_ = devices[static_cast<std::size_t>(index)];
  ahead_ = ahead_runs(info_.architecture, driver_->cuda_version());
  if (!ahead_ && !compiler_)
    throw std::runtime_error("our kernels need NVRTC to be compiled, and it is missing");
  if (!ahead_ && compiler_->major() * 1000 > driver_->cuda_version() / 1000 * 1000)
    throw std::runtime_error("the driver runs CUDA up to " + cuda_version_text(driver_->cuda_version()) +
                             ", but the libraries are for " + compiler_->version() +
                             "; install a newer driver, or nvidia-cuda-nvrtc-cu" +
                             std::to_string(driver_->cuda_version() / 1000) +
                             " and its companions in the place of the newer ones");
  cuda::Device device = 0;
  check(api().DeviceGet(&device, index), "finding the GPU");
  check(api().PrimaryContextRetain(&context_, device), "starting the GPU");
  enter();
  check(api().StreamCreate(&stream_, cuda::kStreamNonBlocking), "creating a stream");
}

Gpu::~Gpu() {
  api().ContextSetCurrent(context_);
  for (const auto& [key, loaded] : modules_) api().ModuleUnload(loaded);
  if (stream_ != nullptr) api().StreamDestroy(stream_);
  cuda::Device device = 0;
  if (context_ != nullptr && api().DeviceGet(&device, info_.index) == cuda::kSuccess)
    api().PrimaryContextRelease(device);
}

void Gpu::enter() const { check(api().ContextSetCurrent(context_), "entering the GPU's context"); }

void Gpu::synchronize() const { check(api().StreamSynchronize(stream_), "waiting for the GPU"); }

std::size_t Gpu::free_bytes() const {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check(api().MemGetInfo(&free_bytes, &total_bytes), "asking for free memory");
  return free_bytes;
}

cuda::Function Gpu::kernel(Element element, const char* name) const {
  if (element > Element::kInt8) throw std::invalid_argument("no kernels of ours compute on such numbers");
  const int key = static_cast<int>(element);
  const auto [place, fresh] = functions_.try_emplace({key, name});
  if (fresh)
    check(api().ModuleGetFunction(&place->second, module(key), (std::string("lutra_") + name).c_str()),
          std::string("finding the kernel ") + name);
  return place->second;
}

cuda::Function Gpu::tool(const char* name) const {
  const auto [place, fresh] = functions_.try_emplace({kToolsModule, name});
  if (fresh)
    check(
        api().ModuleGetFunction(&place->second, module(kToolsModule), (std::string("lutra_") + name).c_str()),
        std::string("finding the kernel ") + name);
  return place->second;
}

cuda::Module Gpu::module(int key) const {
  if (const auto known = modules_.find(key); known != modules_.end()) return known->second;
  cuda::Module loaded = nullptr;
  if (ahead_) {
    check(api().ModuleLoadData(&loaded, ahead_image(key).data()),
          "loading our kernels, compiled ahead of time");
    return modules_[key] = loaded;
  }
  const std::vector<char> code =
      key == kToolsModule
          ? compiler_->compile(tools_source(), info_.architecture, {})
          : compiler_->compile(kernel_source(), info_.architecture, {"LUTRA_ELEMENT=" + std::to_string(key)});
  check(api().ModuleLoadData(&loaded, code.data()), "loading our kernels");
  return modules_[key] = loaded;
}

std::string Gpu::compiler() const {
  return ahead_ ? "nvcc " + ahead_compiler() + ", ahead of time" : "NVRTC " + compiler_->version();
}

void Gpu::upload(cuda::Pointer to, const void* from, std::size_t bytes) const {
  check(api().MemcpyHtoD(to, from, bytes), "copying to the GPU");
}

void Gpu::download(void* to, cuda::Pointer from, std::size_t bytes) const {
  check(api().MemcpyDtoH(to, from, bytes), "copying from the GPU");
}

}  // namespace lutra::gpu
