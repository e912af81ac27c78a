#include "gpu/driver.hpp"

#include <array>
#include <cstdio>

namespace lutra::gpu {
namespace {

/// Results after which the context, and mostly the GPU, is of no use any more.
bool means_lost(cuda::Result result) {
  switch (result) {
    case cuda::kDeviceUnavailable:
    case cuda::kEccUncorrectable:
    case cuda::kNvlinkUncorrectable:
    case cuda::kIllegalAddress:
    case cuda::kLaunchTimeout:
    case cuda::kContextDestroyed:
    case cuda::kHardwareStackError:
    case cuda::kLaunchFailed:
    case cuda::kSystemNotReady:
    case cuda::kExternalDevice:
    case cuda::kUnknown:
      return true;
    default:
      return result > cuda::kHardwareStackError &&
             result < cuda::kLaunchFailed;  // illegal instructions and such
  }
}

std::string failure_of_start(cuda::Result result) {
  switch (result) {
    case cuda::kNoDevice:
      return "the driver sees no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES";
    case cuda::kStubLibrary:
      return "libcuda.so.1 is the stub that compilers link with; install the driver itself";
    case cuda::kDriverMismatch:
      return "the driver's library and its kernel module differ in version; restart the machine";
    case cuda::kNeedsNewerDriver:
      return "the driver is too old; install a newer one";
    default:
      return "the driver does not start (error " + std::to_string(result) + "); look at nvidia-smi";
  }
}

}  // namespace

OutOfGpuMemory::OutOfGpuMemory(std::size_t wanted_bytes, std::size_t free_bytes)
    : std::runtime_error("out of GPU memory: " + bytes_text(wanted_bytes) + " more are needed, " +
                         bytes_text(free_bytes) + " are free") {}

std::string bytes_text(std::size_t bytes) {
  std::array<char, 32> text{};
  if (bytes >= std::size_t{1} << 30)
    std::snprintf(text.data(), text.size(), "%.1f GiB", static_cast<double>(bytes) / 0x1p30);
  else if (bytes >= std::size_t{1} << 20)
    std::snprintf(text.data(), text.size(), "%.0f MiB", static_cast<double>(bytes) / 0x1p20);
  else
    std::snprintf(text.data(), text.size(), "%zu bytes", bytes);
  return text.data();
}

std::string cuda_version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Driver::Driver(const Candidates& candidates) : library_("NVIDIA's driver", candidates) {
#define LUTRA_FIND(name, symbol, ...) library_.find(symbol, api_.name);
  LUTRA_CUDA_FUNCTIONS(LUTRA_FIND)
#undef LUTRA_FIND
  if (const cuda::Result result = api_.Init(0); result != cuda::kSuccess)
    throw std::runtime_error(failure_of_start(result));
  check(api_.DriverGetVersion(&cuda_version_), "asking for the driver's version");
}

std::vector<DeviceInfo> Driver::devices() const {
  int count = 0;
  check(api_.DeviceGetCount(&count), "counting GPUs");
  std::vector<DeviceInfo> found;
  for (int index = 0; index < count; ++index) found.push_back(device(index));
  return found;
}

DeviceInfo Driver::device(int index) const {
  cuda::Device handle = 0;
  check(api_.DeviceGet(&handle, index), "finding GPU " + std::to_string(index));
  std::array<char, 256> name{};
  check(api_.DeviceGetName(name.data(), static_cast<int>(name.size()), handle), "asking for a GPU's name");
  std::array<char, 64> bus{};
  check(api_.DeviceGetPciBusId(bus.data(), static_cast<int>(bus.size()), handle), "asking for a GPU's place");
  std::size_t memory_bytes = 0;
  check(api_.DeviceTotalMem(&memory_bytes, handle), "asking for a GPU's memory");
  return {.index = index,
          .name = name.data(),
          .architecture =
              attribute(cuda::kAttributeMajor, handle) * 10 + attribute(cuda::kAttributeMinor, handle),
          .multiprocessors = attribute(cuda::kAttributeMultiprocessors, handle),
          .clock_khz = attribute(cuda::kAttributeClockKhz, handle),
          .memory_clock_khz = attribute(cuda::kAttributeMemoryClockKhz, handle),
          .bus_bits = attribute(cuda::kAttributeBusBits, handle),
          .l2_bytes = attribute(cuda::kAttributeL2Bytes, handle),
          .memory_bytes = static_cast<std::int64_t>(memory_bytes),
          .pci_bus_id = bus.data()};
}

int Driver::attribute(int attribute, cuda::Device device) const {
  int value = 0;
  check(api_.DeviceGetAttribute(&value, attribute, device), "asking for an attribute of a GPU");
  return value;
}

void Driver::raise(cuda::Result result, std::string_view what) const {
  const char* name = nullptr;
  const char* text = nullptr;
  api_.GetErrorName(result, &name);
  api_.GetErrorString(result, &text);
  const std::string message = std::string(text != nullptr ? text : "unknown error") + " (" +
                              (name != nullptr ? name : std::to_string(result)) + ") while " +
                              std::string(what);
  if (means_lost(result)) throw GpuLost("the GPU is lost: " + message);
  if (result == cuda::kOutOfMemory) {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    api_.MemGetInfo(&free_bytes, &total_bytes);
    throw std::runtime_error("out of GPU memory while " + std::string(what) + "; " + bytes_text(free_bytes) +
                             " are free");
  }
  if (result == cuda::kUnsupportedPtx || result == cuda::kNeedsNewerDriver)
    throw std::runtime_error("the driver (CUDA " + cuda_version_text(cuda_version_) +
                             ") is older than what is run on it: " + message);
  throw std::runtime_error("the GPU's driver reports: " + message);
}

}  // namespace lutra::gpu
