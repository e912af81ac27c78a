#pragma once

#include <cstddef>
#include <cstdint>

// The part of NVIDIA's driver interface (libcuda.so.1) that is used, written down from its documentation so
// that nothing of NVIDIA's is needed to build. The interface is stable: new versions of a function come under
// new names, and the old names stay. tests/native/gpu compares this with NVIDIA's headers where they are.

struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;
struct CUgraph_st;
struct CUgraphExec_st;

namespace lutra::gpu::cuda {

using Result = int;
using Device = int;
using Context = CUctx_st*;
using Module = CUmod_st*;
using Function = CUfunc_st*;
using Stream = CUstream_st*;
using Event = CUevent_st*;
using Graph = CUgraph_st*;
using GraphExec = CUgraphExec_st*;
using Pointer = unsigned long long;  // CUdeviceptr on 64-bit systems

inline constexpr Result kSuccess = 0;
inline constexpr Result kOutOfMemory = 2;
inline constexpr Result kStubLibrary = 34;
inline constexpr Result kNeedsNewerDriver = 36;
inline constexpr Result kDeviceUnavailable = 46;
inline constexpr Result kNoDevice = 100;
inline constexpr Result kEccUncorrectable = 214;
inline constexpr Result kNvlinkUncorrectable = 220;
inline constexpr Result kUnsupportedPtx = 222;
inline constexpr Result kNotReady = 600;
inline constexpr Result kIllegalAddress = 700;
inline constexpr Result kLaunchTimeout = 702;
inline constexpr Result kContextDestroyed = 709;
inline constexpr Result kHardwareStackError = 714;
inline constexpr Result kLaunchFailed = 719;
inline constexpr Result kSystemNotReady = 802;
inline constexpr Result kDriverMismatch = 803;
inline constexpr Result kExternalDevice = 911;
inline constexpr Result kUnknown = 999;

/// CUdevice_attribute.
inline constexpr int kAttributeClockKhz = 13;
inline constexpr int kAttributeMultiprocessors = 16;
inline constexpr int kAttributeMemoryClockKhz = 36;
inline constexpr int kAttributeBusBits = 37;
inline constexpr int kAttributeL2Bytes = 38;
inline constexpr int kAttributeMajor = 75;
inline constexpr int kAttributeMinor = 76;

inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr unsigned kEventDefault = 0;
inline constexpr int kCaptureThreadLocal = 1;
inline constexpr unsigned kHostAllocMapped = 2;

/// The functions, under their names without "cu". `X(name, symbol, arguments...)`; all return a `Result`.
#define LUTRA_CUDA_FUNCTIONS(X)                                                                           \
  X(Init, "cuInit", unsigned)                                                                             \
  X(DriverGetVersion, "cuDriverGetVersion", int*)                                                         \
  X(GetErrorName, "cuGetErrorName", Result, const char**)                                                 \
  X(GetErrorString, "cuGetErrorString", Result, const char**)                                             \
  X(DeviceGetCount, "cuDeviceGetCount", int*)                                                             \
  X(DeviceGet, "cuDeviceGet", Device*, int)                                                               \
  X(DeviceGetName, "cuDeviceGetName", char*, int, Device)                                                 \
  X(DeviceGetAttribute, "cuDeviceGetAttribute", int*, int, Device)                                        \
  X(DeviceTotalMem, "cuDeviceTotalMem_v2", std::size_t*, Device)                                          \
  X(DeviceGetPciBusId, "cuDeviceGetPCIBusId", char*, int, Device)                                         \
  X(PrimaryContextRetain, "cuDevicePrimaryCtxRetain", Context*, Device)                                   \
  X(PrimaryContextRelease, "cuDevicePrimaryCtxRelease_v2", Device)                                        \
  X(ContextSetCurrent, "cuCtxSetCurrent", Context)                                                        \
  X(MemGetInfo, "cuMemGetInfo_v2", std::size_t*, std::size_t*)                                            \
  X(MemAlloc, "cuMemAlloc_v2", Pointer*, std::size_t)                                                     \
  X(MemFree, "cuMemFree_v2", Pointer)                                                                     \
  X(MemHostAlloc, "cuMemHostAlloc", void**, std::size_t, unsigned)                                        \
  X(MemFreeHost, "cuMemFreeHost", void*)                                                                  \
  X(MemHostGetDevicePointer, "cuMemHostGetDevicePointer_v2", Pointer*, void*, unsigned)                   \
  X(MemcpyHtoD, "cuMemcpyHtoD_v2", Pointer, const void*, std::size_t)                                     \
  X(MemcpyDtoH, "cuMemcpyDtoH_v2", void*, Pointer, std::size_t)                                           \
  X(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", Pointer, Pointer, std::size_t, Stream)                       \
  X(StreamCreate, "cuStreamCreate", Stream*, unsigned)                                                    \
  X(StreamDestroy, "cuStreamDestroy_v2", Stream)                                                          \
  X(StreamSynchronize, "cuStreamSynchronize", Stream)                                                     \
  X(StreamBeginCapture, "cuStreamBeginCapture_v2", Stream, int)                                           \
  X(StreamEndCapture, "cuStreamEndCapture", Stream, Graph*)                                               \
  X(GraphInstantiate, "cuGraphInstantiateWithFlags", GraphExec*, Graph, unsigned long long)               \
  X(GraphLaunch, "cuGraphLaunch", GraphExec, Stream)                                                      \
  X(GraphUpload, "cuGraphUpload", GraphExec, Stream)                                                      \
  X(GraphExecDestroy, "cuGraphExecDestroy", GraphExec)                                                    \
  X(GraphDestroy, "cuGraphDestroy", Graph)                                                                \
  X(EventCreate, "cuEventCreate", Event*, unsigned)                                                       \
  X(EventDestroy, "cuEventDestroy_v2", Event)                                                             \
  X(EventRecord, "cuEventRecord", Event, Stream)                                                          \
  X(EventQuery, "cuEventQuery", Event)                                                                    \
  X(EventSynchronize, "cuEventSynchronize", Event)                                                        \
  X(EventElapsedTime, "cuEventElapsedTime", float*, Event, Event)                                         \
  X(ModuleLoadData, "cuModuleLoadData", Module*, const void*)                                             \
  X(ModuleUnload, "cuModuleUnload", Module)                                                               \
  X(ModuleGetFunction, "cuModuleGetFunction", Function*, Module, const char*)                             \
  X(LaunchKernel, "cuLaunchKernel", Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
    unsigned, Stream, void**, void**)

struct Api {
#define LUTRA_DECLARE(name, symbol, ...) Result (*name)(__VA_ARGS__) = nullptr;
  LUTRA_CUDA_FUNCTIONS(LUTRA_DECLARE)
#undef LUTRA_DECLARE
};

}  // namespace lutra::gpu::cuda
