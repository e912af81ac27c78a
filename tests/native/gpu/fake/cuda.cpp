// A fake of NVIDIA's driver, run-time compiler and management library: it does what they promise, on the
// host, with a clock of its own, and goes wrong on demand.

#include "gpu/api/cuda.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "device.hpp"
#include "gpu/api/nvml.hpp"
#include "gpu/api/nvrtc.hpp"

using namespace lutra::gpu;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr std::size_t kStackBytes = std::size_t{64} << 10;

std::map<std::string, double> settings = {
    {"devices", 1}, {"driver", 13000},  {"memory_mib", 8192}, {"mhz", 1500},  {"slow_probes", 0},
    {"hang", 0},    {"fail_after", -1}, {"fail_with", 719},   {"compute", 1}, {"refuse", 0}};
unsigned long long clock_ns = 1'000'000;
std::size_t used_bytes = 0;
std::map<void*, std::size_t> blocks;
long long launches = 0;
CUstream_st* capturing = nullptr;

// --- fibers ---

struct Fiber {
  ucontext_t context{};
  std::vector<char> stack;
  bool done = false;
};

ucontext_t scheduler;
Fiber* current = nullptr;
const std::function<void()>* body = nullptr;

void enter_fiber() {
  (*body)();
  current->done = true;
  swapcontext(&current->context, &scheduler);
}

struct Marks {
  unsigned long long at = 0;
};

}  // namespace

struct CUctx_st {};
struct CUmod_st {
  int element;
};
struct CUfunc_st {
  std::string name;
  fake::Maker maker;
};
struct CUevent_st {
  unsigned long long at_ns = 0;
};
struct CUgraph_st {
  std::vector<std::function<int()>> nodes;
};
struct CUgraphExec_st {
  std::vector<std::function<int()>> nodes;
};
struct _nvrtcProgram {
  std::string element = "-1";
};
struct nvmlDevice_st {};

/// Whose kernels are in a module: what the stand-in of NVRTC wrote, or a file of nvcc's, where names tell.
int element_of(const char* image) {
  if (image[0] == '-' || (image[0] >= '0' && image[0] <= '9')) return std::atoi(image);
  std::uint16_t header = 0;
  std::uint64_t bytes = 0;
  std::memcpy(&header, image + 6, sizeof(header));
  std::memcpy(&bytes, image + 8, sizeof(bytes));
  const std::string_view all(image, header + bytes);
  for (const auto& [element, name] : {std::pair{0, "lutra_of_float32"},
                                      {1, "lutra_of_float16"},
                                      {2, "lutra_of_bfloat16"},
                                      {3, "lutra_of_int8"}})
    if (all.find(name) != std::string_view::npos) return element;
  return -1;
}

namespace fake {

void barrier() { swapcontext(&current->context, &scheduler); }

namespace {

void set_thread(unsigned t, Index block) {
  threadIdx = {t % block.x, t / block.x % block.y, t / block.x / block.y};
}

}  // namespace

void run(const std::function<void()>& kernel, Index grid, Index block, bool waits) {
  static std::vector<std::unique_ptr<Fiber>> fibers;
  const unsigned threads = block.x * block.y * block.z;
  while (waits && fibers.size() < threads) {
    fibers.push_back(std::make_unique<Fiber>());
    fibers.back()->stack.resize(kStackBytes);
  }
  body = &kernel;
  gridDim = grid;
  blockDim = block;
  for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
    blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
    if (!waits) {
      for (unsigned t = 0; t < threads; ++t) {
        set_thread(t, block);
        kernel();
      }
      continue;
    }
    for (unsigned t = 0; t < threads; ++t) {
      Fiber& fiber = *fibers[t];
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = nullptr;
      fiber.done = false;
      makecontext(&fiber.context, &enter_fiber, 0);
    }
    for (bool any = true; any;) {
      any = false;
      for (unsigned t = 0; t < threads; ++t) {
        if (fibers[t]->done) continue;
        any = true;
        current = fibers[t].get();
        set_thread(t, block);
        swapcontext(&scheduler, &current->context);
      }
    }
  }
}

unsigned long long now_ns() { return clock_ns += 100; }

unsigned long long cycles() {
  double mhz = settings["mhz"];
  if (settings["slow_probes"] > 0) mhz /= 10;
  return static_cast<unsigned long long>(static_cast<double>(clock_ns) * mhz / 1e3);
}

double setting(const char* name) { return settings.at(name); }

void set(const std::string& assignments) {
  std::istringstream text(assignments);
  for (std::string item; std::getline(text, item, ',');) {
    const std::size_t equals = item.find('=');
    settings.at(item.substr(0, equals)) = std::stod(item.substr(equals + 1));
  }
  launches = 0;
}

int health() {
  const double after = settings["fail_after"];
  return after >= 0 && static_cast<double>(launches) > after ? static_cast<int>(settings["fail_with"]) : 0;
}

int submit(CUstream_st* stream, unsigned long long ns, std::function<void()> work) {
  const auto execute = [ns, work = std::move(work)] {
    ++launches;
    if (const int failure = health(); failure != 0) return failure;
    work();
    clock_ns += ns;
    return 0;
  };
  if (stream->capturing) {
    stream->captured.push_back(execute);
    return 0;
  }
  return execute();
}

/// Lets go of a stream that is held; if nobody released it, when its time is up.
void let_go(CUstream_st* stream) {
  if (stream->state == nullptr) return;
  const bool released = *stream->release != 0 && settings["hang"] == 0;
  if (!released) clock_ns += stream->timeout_ns;
  *stream->state = released ? 1 : 2;
  stream->state = nullptr;
}

}  // namespace fake

// --- settings ---

EXPORT void lutra_fake_set(const char* assignments) { fake::set(assignments); }

// --- driver ---

EXPORT int cuInit(unsigned) {
  if (const char* given = std::getenv("LUTRA_FAKE_GPU")) fake::set(given);
  return settings["devices"] > 0 ? 0 : cuda::kNoDevice;
}
EXPORT int cuDriverGetVersion(int* version) {
  *version = static_cast<int>(settings["driver"]);
  return 0;
}
EXPORT int cuGetErrorName(int result, const char** name) {
  static std::string text;
  text = "FAKE_ERROR_" + std::to_string(result);
  *name = text.c_str();
  return 0;
}
EXPORT int cuGetErrorString(int, const char** text) {
  *text = "it was told to fail";
  return 0;
}
EXPORT int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(settings["devices"]);
  return 0;
}
EXPORT int cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}
EXPORT int cuDeviceGetName(char* name, int size, int) {
  std::strncpy(name, "Fake GPU", static_cast<std::size_t>(size));
  return 0;
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  static const std::map<int, int> values = {{cuda::kAttributeClockKhz, 1'500'000},
                                            {cuda::kAttributeMultiprocessors, 2},
                                            {cuda::kAttributeMemoryClockKhz, 2'000'000},
                                            {cuda::kAttributeBusBits, 256},
                                            {cuda::kAttributeL2Bytes, 1 << 20},
                                            {cuda::kAttributeMajor, 9},
                                            {cuda::kAttributeMinor, 0}};
  const auto found = values.find(attribute);
  *value = found == values.end() ? 0 : found->second;
  return 0;
}
EXPORT int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = static_cast<std::size_t>(settings["memory_mib"]) << 20;
  return 0;
}
EXPORT int cuDeviceGetPCIBusId(char* text, int size, int) {
  std::strncpy(text, "0000:01:00.0", static_cast<std::size_t>(size));
  return 0;
}
EXPORT int cuDevicePrimaryCtxRetain(CUctx_st** context, int) {
  static CUctx_st only;
  *context = &only;
  return 0;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
EXPORT int cuCtxSetCurrent(CUctx_st*) { return fake::health(); }
EXPORT int cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total) {
  *total = static_cast<std::size_t>(settings["memory_mib"]) << 20;
  *free_bytes = *total > used_bytes ? *total - used_bytes : 0;
  return 0;
}
EXPORT int cuMemAlloc_v2(cuda::Pointer* pointer, std::size_t bytes) {
  if (const int failure = fake::health(); failure != 0) return failure;
  if (used_bytes + bytes > static_cast<std::size_t>(settings["memory_mib"]) << 20) return cuda::kOutOfMemory;
  void* const memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  blocks[memory] = bytes;
  used_bytes += bytes;
  *pointer = reinterpret_cast<cuda::Pointer>(memory);
  return 0;
}
EXPORT int cuMemFree_v2(cuda::Pointer pointer) {
  const auto found = blocks.find(reinterpret_cast<void*>(pointer));
  if (found == blocks.end()) return 1;
  used_bytes -= found->second;
  std::free(found->first);
  blocks.erase(found);
  return 0;
}
EXPORT int cuMemHostAlloc(void** memory, std::size_t bytes, unsigned) {
  *memory = std::calloc(1, bytes);
  return 0;
}
EXPORT int cuMemFreeHost(void* memory) {
  std::free(memory);
  return 0;
}
EXPORT int cuMemHostGetDevicePointer_v2(cuda::Pointer* pointer, void* memory, unsigned) {
  *pointer = reinterpret_cast<cuda::Pointer>(memory);
  return 0;
}
EXPORT int cuMemcpyHtoD_v2(cuda::Pointer to, const void* from, std::size_t bytes) {
  if (capturing != nullptr) return 900;
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return fake::health();
}
EXPORT int cuMemcpyDtoH_v2(void* to, cuda::Pointer from, std::size_t bytes) {
  std::memcpy(to, reinterpret_cast<void*>(from), bytes);
  return fake::health();
}
EXPORT int cuMemcpyDtoDAsync_v2(cuda::Pointer to, cuda::Pointer from, std::size_t bytes,
                                CUstream_st* stream) {
  return fake::submit(
      stream, 1000, [=] { std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes); });
}
EXPORT int cuStreamCreate(CUstream_st** stream, unsigned) {
  *stream = new CUstream_st;
  return 0;
}
EXPORT int cuStreamDestroy_v2(CUstream_st* stream) {
  delete stream;
  return 0;
}
EXPORT int cuStreamSynchronize(CUstream_st* stream) {
  if (stream->capturing) return 900;
  fake::let_go(stream);
  return fake::health();
}
EXPORT int cuStreamBeginCapture_v2(CUstream_st* stream, int) {
  stream->capturing = true;
  stream->captured.clear();
  capturing = stream;
  return 0;
}
EXPORT int cuStreamEndCapture(CUstream_st* stream, CUgraph_st** graph) {
  stream->capturing = false;
  capturing = nullptr;
  *graph = new CUgraph_st{stream->captured};
  return 0;
}
EXPORT int cuGraphInstantiateWithFlags(CUgraphExec_st** executable, CUgraph_st* graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->nodes};
  return 0;
}
EXPORT int cuGraphUpload(CUgraphExec_st*, CUstream_st*) { return fake::health(); }
EXPORT int cuGraphLaunch(CUgraphExec_st* executable, CUstream_st*) {
  clock_ns += 5000;
  for (const auto& node : executable->nodes)
    if (const int failure = node(); failure != 0) return failure;
  return 0;
}
EXPORT int cuGraphExecDestroy(CUgraphExec_st* executable) {
  delete executable;
  return 0;
}
EXPORT int cuGraphDestroy(CUgraph_st* graph) {
  delete graph;
  return 0;
}
EXPORT int cuEventCreate(CUevent_st** event, unsigned) {
  *event = new CUevent_st;
  return 0;
}
EXPORT int cuEventDestroy_v2(CUevent_st* event) {
  delete event;
  return 0;
}
EXPORT int cuEventRecord(CUevent_st* event, CUstream_st*) {
  event->at_ns = clock_ns;
  return fake::health();
}
EXPORT int cuEventQuery(CUevent_st*) { return fake::health(); }
EXPORT int cuEventSynchronize(CUevent_st*);
EXPORT int cuEventElapsedTime(float* milliseconds, CUevent_st* begin, CUevent_st* end) {
  *milliseconds = static_cast<float>(static_cast<double>(end->at_ns - begin->at_ns) / 1e6);
  return fake::health();
}
EXPORT int cuModuleLoadData(CUmod_st** module, const void* image) {
  *module = new CUmod_st{element_of(static_cast<const char*>(image))};
  return 0;
}
EXPORT int cuModuleUnload(CUmod_st* module) {
  delete module;
  return 0;
}
EXPORT int cuModuleGetFunction(CUfunc_st** function, CUmod_st* module, const char* name) {
  static std::map<std::pair<int, std::string>, CUfunc_st> known;
  const auto& all = fake::kernels(module->element);
  const auto found = all.find(name);
  if (found == all.end()) return 500;
  *function = &known.try_emplace({module->element, name}, CUfunc_st{name, found->second}).first->second;
  return 0;
}

namespace {

CUstream_st* held = nullptr;

}  // namespace

EXPORT int cuEventSynchronize(CUevent_st*) {
  if (held != nullptr) fake::let_go(held);
  held = nullptr;
  return fake::health();
}
EXPORT int cuLaunchKernel(CUfunc_st* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                          unsigned by, unsigned bz, unsigned, CUstream_st* stream, void** arguments, void**) {
  if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx * by * bz == 0 || bx * by * bz > 1024)
    return 1;
  const std::string& name = function->name;
  if (name == "lutra_hold") {
    if (stream->capturing) return 900;
    stream->release = *static_cast<const volatile int**>(arguments[0]);
    stream->state = *static_cast<volatile int**>(arguments[1]);
    stream->timeout_ns = *static_cast<unsigned long long*>(arguments[2]);
    held = stream;
    return fake::health();
  }
  const unsigned long long ns = 1000 + 2ULL * gx * gy * gz;
  if (name == "lutra_arithmetic") return fake::submit(stream, 100'000, [] {});
  if (name == "lutra_triad") return fake::submit(stream, 400'000, [] {});
  if (name == "lutra_flush" || (settings["compute"] == 0 && name != "lutra_clock_probe"))
    return fake::submit(stream, ns, [] {});
  const std::function<void()> call = function->maker(arguments);
  const bool probe = name == "lutra_clock_probe";
  static const std::set<std::string> waiting = {"lutra_softmax", "lutra_norm", "lutra_reduce_rows",
                                                "lutra_reduce_strided", "lutra_transpose_tiles"};
  const bool waits = waiting.count(name) > 0;
  return fake::submit(stream, ns, [=] {
    fake::run(call, {gx, gy, gz}, {bx, by, bz}, waits);
    if (probe && settings["slow_probes"] > 0) settings["slow_probes"] -= 1;
  });
}

// --- run-time compiler ---

EXPORT int nvrtcVersion(int* major, int* minor) {
  *major = 13;
  *minor = 0;
  return 0;
}
EXPORT int nvrtcGetNumSupportedArchs(int* count) {
  *count = 2;
  return 0;
}
EXPORT int nvrtcGetSupportedArchs(int* architectures) {
  architectures[0] = 80;
  architectures[1] = 90;
  return 0;
}
EXPORT int nvrtcCreateProgram(_nvrtcProgram** program, const char*, const char*, int, const char* const*,
                              const char* const*) {
  *program = new _nvrtcProgram;
  return 0;
}
EXPORT int nvrtcDestroyProgram(_nvrtcProgram** program) {
  delete *program;
  return 0;
}
EXPORT int nvrtcCompileProgram(_nvrtcProgram* program, int count, const char* const* options) {
  const std::string prefix = "-DLUTRA_ELEMENT=";
  for (int i = 0; i < count; ++i)
    if (std::string(options[i]).starts_with(prefix))
      program->element = std::string(options[i]).substr(prefix.size());
  return 0;
}
EXPORT int nvrtcGetCUBINSize(_nvrtcProgram* program, std::size_t* size) {
  *size = program->element.size() + 1;
  return 0;
}
EXPORT int nvrtcGetCUBIN(_nvrtcProgram* program, char* code) {
  std::strcpy(code, program->element.c_str());
  return 0;
}
EXPORT int nvrtcGetProgramLogSize(_nvrtcProgram*, std::size_t* size) {
  *size = 0;
  return 0;
}
EXPORT int nvrtcGetProgramLog(_nvrtcProgram*, char*) { return 0; }
EXPORT const char* nvrtcGetErrorString(int) { return "fake"; }

// --- management library ---

EXPORT int nvmlInit_v2() { return 0; }
EXPORT int nvmlShutdown() { return 0; }
EXPORT int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::strncpy(text, "580.65.06", size);
  return 0;
}
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char*, nvmlDevice_st** device) {
  static nvmlDevice_st only;
  *device = &only;
  return 0;
}
EXPORT int nvmlDeviceGetPowerManagementLimit(nvmlDevice_st*, unsigned* milliwatts) {
  *milliwatts = 300'000;
  return 0;
}
EXPORT int nvmlDeviceGetPowerUsage(nvmlDevice_st*, unsigned* milliwatts) {
  *milliwatts = 120'000;
  return 0;
}
EXPORT int nvmlDeviceGetClockInfo(nvmlDevice_st*, int, unsigned* mhz) {
  *mhz = static_cast<unsigned>(settings["mhz"]);
  return 0;
}
EXPORT int nvmlDeviceGetMaxClockInfo(nvmlDevice_st*, int, unsigned* mhz) {
  *mhz = 1500;
  return 0;
}
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_st*, unsigned long long* reasons) {
  *reasons = settings["mhz"] < 1500 ? 4 : 1;
  return 0;
}
