// What csrc/gpu/api/cuda.hpp declares by hand, against NVIDIA's header: argument by argument in size and
// kind.

#include <cuda.h>

#include <type_traits>

#include "check.hpp"
#include "gpu/api/cuda.hpp"

namespace ours = lutra::gpu::cuda;

namespace {

/// The same size, and both pointers or both not. Enums are integers.
template <typename A, typename B>
constexpr bool kAlike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;

template <typename A, typename B>
struct Match : std::false_type {};
template <typename R, typename... A, typename S, typename... B>
struct Match<R (*)(A...), S (*)(B...)> : std::bool_constant<sizeof...(A) == sizeof...(B) && [] {
  if constexpr (sizeof...(A) == sizeof...(B)) return kAlike<R, S> && (kAlike<A, B> && ...);
  return false;
}()> {};

#define MATCHES(name, function) \
  static_assert(Match<decltype(ours::Api::name), decltype(&function)>::value, #name)

// Names that the header maps to newer forms are compared with the form that we look up.
MATCHES(Init, cuInit);
MATCHES(DriverGetVersion, cuDriverGetVersion);
MATCHES(GetErrorName, cuGetErrorName);
MATCHES(DeviceGetCount, cuDeviceGetCount);
MATCHES(DeviceGet, cuDeviceGet);
MATCHES(DeviceGetName, cuDeviceGetName);
MATCHES(DeviceGetAttribute, cuDeviceGetAttribute);
MATCHES(DeviceTotalMem, cuDeviceTotalMem);
MATCHES(DeviceGetPciBusId, cuDeviceGetPCIBusId);
MATCHES(PrimaryContextRetain, cuDevicePrimaryCtxRetain);
MATCHES(PrimaryContextRelease, cuDevicePrimaryCtxRelease);
MATCHES(ContextSetCurrent, cuCtxSetCurrent);
MATCHES(MemGetInfo, cuMemGetInfo);
MATCHES(MemAlloc, cuMemAlloc);
MATCHES(MemFree, cuMemFree);
MATCHES(MemHostAlloc, cuMemHostAlloc);
MATCHES(MemFreeHost, cuMemFreeHost);
MATCHES(MemHostGetDevicePointer, cuMemHostGetDevicePointer);
MATCHES(MemcpyHtoD, cuMemcpyHtoD);
MATCHES(MemcpyDtoH, cuMemcpyDtoH);
MATCHES(MemcpyDtoDAsync, cuMemcpyDtoDAsync);
MATCHES(StreamCreate, cuStreamCreate);
MATCHES(StreamDestroy, cuStreamDestroy);
MATCHES(StreamSynchronize, cuStreamSynchronize);
MATCHES(StreamBeginCapture, cuStreamBeginCapture);
MATCHES(StreamEndCapture, cuStreamEndCapture);
MATCHES(GraphInstantiate, cuGraphInstantiateWithFlags);
MATCHES(GraphLaunch, cuGraphLaunch);
MATCHES(GraphUpload, cuGraphUpload);
MATCHES(GraphExecDestroy, cuGraphExecDestroy);
MATCHES(GraphDestroy, cuGraphDestroy);
MATCHES(EventCreate, cuEventCreate);
MATCHES(EventDestroy, cuEventDestroy);
MATCHES(EventRecord, cuEventRecord);
MATCHES(EventQuery, cuEventQuery);
MATCHES(EventSynchronize, cuEventSynchronize);
MATCHES(EventElapsedTime, cuEventElapsedTime);
MATCHES(ModuleLoadData, cuModuleLoadData);
MATCHES(ModuleUnload, cuModuleUnload);
MATCHES(ModuleGetFunction, cuModuleGetFunction);
MATCHES(LaunchKernel, cuLaunchKernel);

}  // namespace

int main() {
  CHECK(ours::kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(ours::kStubLibrary == CUDA_ERROR_STUB_LIBRARY);
  CHECK(ours::kNeedsNewerDriver == 36);
  CHECK(ours::kDeviceUnavailable == CUDA_ERROR_DEVICE_UNAVAILABLE);
  CHECK(ours::kNoDevice == CUDA_ERROR_NO_DEVICE);
  CHECK(ours::kEccUncorrectable == CUDA_ERROR_ECC_UNCORRECTABLE);
  CHECK(ours::kNvlinkUncorrectable == CUDA_ERROR_NVLINK_UNCORRECTABLE);
  CHECK(ours::kUnsupportedPtx == CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  CHECK(ours::kNotReady == CUDA_ERROR_NOT_READY);
  CHECK(ours::kIllegalAddress == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(ours::kLaunchTimeout == CUDA_ERROR_LAUNCH_TIMEOUT);
  CHECK(ours::kContextDestroyed == CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK(ours::kHardwareStackError == CUDA_ERROR_HARDWARE_STACK_ERROR);
  CHECK(ours::kLaunchFailed == CUDA_ERROR_LAUNCH_FAILED);
  CHECK(ours::kSystemNotReady == CUDA_ERROR_SYSTEM_NOT_READY);
  CHECK(ours::kDriverMismatch == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
  CHECK(ours::kExternalDevice == 911);
  CHECK(ours::kUnknown == CUDA_ERROR_UNKNOWN);
  CHECK(ours::kAttributeClockKhz == CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  CHECK(ours::kAttributeMultiprocessors == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  CHECK(ours::kAttributeMemoryClockKhz == CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  CHECK(ours::kAttributeBusBits == CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  CHECK(ours::kAttributeL2Bytes == CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  CHECK(ours::kAttributeMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  CHECK(ours::kAttributeMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  CHECK(ours::kStreamNonBlocking == CU_STREAM_NON_BLOCKING);
  CHECK(ours::kCaptureThreadLocal == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  CHECK(ours::kHostAllocMapped == CU_MEMHOSTALLOC_DEVICEMAP);
  return lutra::check::finish();
}
