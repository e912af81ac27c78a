#pragma once

#include <cstddef>
#include <cstdint>

// The part of ONNX Runtime's C interface that Lutra calls, declared by hand: the wheel ships the library
// without its header. `OrtApi` is a table of function pointers that only ever grows at its end, so a slot's
// number is the same in every release. The numbers follow the member order of OrtApi in onnxruntime_c_api.h;
// that project asserts five of them itself (ReleaseCustomOpDomain 101, ReleaseModelMetadata 118,
// AddFreeDimensionOverrideByName 124, ReleaseAvailableProviders 126, SetGlobalSpinControl 149).

namespace lutra::ort {

// Opaque handles.
struct OrtStatus;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtIoBinding;
struct OrtSession;
struct OrtValue;
struct OrtRunOptions;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtSessionOptions;
struct OrtThreadingOptions;
struct OrtAllocator;
struct OrtArenaCfg;

enum LoggingLevel : int { kLogError = 3 };
enum OptimizationLevel : int { kOptimizeNothing = 0, kOptimizeAll = 99 };
enum AllocatorType : int { kDeviceAllocator = 0, kArenaAllocator = 1 };
enum MemType : int { kMemTypeDefault = 0 };

/// TensorProto.DataType of ONNX.
enum ElementType : int {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

/// What `OrtGetApiBase` returns.
struct ApiBase {
  const void* (*get_api)(std::uint32_t version) noexcept;
  const char* (*get_version_string)() noexcept;
};

/// The table's version that is asked for: ONNX Runtime 1.17 and everything newer provides it.
inline constexpr std::uint32_t kApiVersion = 17;

/// A slot of the table with the type of the function in it.
template <std::size_t Index, typename Function>
struct Slot;

template <std::size_t Index, typename Result, typename... Args>
struct Slot<Index, Result(Args...)> {
  using Pointer = Result (*)(Args...) noexcept;

  static Pointer of(const void* table) noexcept { return static_cast<const Pointer*>(table)[Index]; }
};

namespace slot {

using GetErrorMessage = Slot<2, const char*(const OrtStatus*)>;
using CreateEnv = Slot<3, OrtStatus*(LoggingLevel, const char* log_id, OrtEnv**)>;
using CreateSessionFromArray = Slot<8, OrtStatus*(const OrtEnv*, const void* model, std::size_t bytes,
                                                  const OrtSessionOptions*, OrtSession**)>;
using CreateSessionOptions = Slot<10, OrtStatus*(OrtSessionOptions**)>;
using SetSessionGraphOptimizationLevel = Slot<23, OrtStatus*(OrtSessionOptions*, OptimizationLevel)>;
using SetIntraOpNumThreads = Slot<24, OrtStatus*(OrtSessionOptions*, int)>;
using SetInterOpNumThreads = Slot<25, OrtStatus*(OrtSessionOptions*, int)>;
using SessionGetInputCount = Slot<30, OrtStatus*(const OrtSession*, std::size_t*)>;
using SessionGetOutputCount = Slot<31, OrtStatus*(const OrtSession*, std::size_t*)>;
using SessionGetInputTypeInfo = Slot<33, OrtStatus*(const OrtSession*, std::size_t, OrtTypeInfo**)>;
using SessionGetInputName = Slot<36, OrtStatus*(const OrtSession*, std::size_t, OrtAllocator*, char**)>;
using SessionGetOutputName = Slot<37, OrtStatus*(const OrtSession*, std::size_t, OrtAllocator*, char**)>;
using CreateRunOptions = Slot<39, OrtStatus*(OrtRunOptions**)>;
using CreateTensorWithDataAsOrtValue =
    Slot<49, OrtStatus*(const OrtMemoryInfo*, void* data, std::size_t bytes, const std::int64_t* shape,
                        std::size_t rank, ElementType, OrtValue**)>;
using IsTensor = Slot<50, OrtStatus*(const OrtValue*, int*)>;
using GetTensorMutableData = Slot<51, OrtStatus*(OrtValue*, void**)>;
using CastTypeInfoToTensorInfo = Slot<55, OrtStatus*(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**)>;
using GetTensorElementType = Slot<60, OrtStatus*(const OrtTensorTypeAndShapeInfo*, ElementType*)>;
using GetDimensionsCount = Slot<61, OrtStatus*(const OrtTensorTypeAndShapeInfo*, std::size_t*)>;
using GetDimensions = Slot<62, OrtStatus*(const OrtTensorTypeAndShapeInfo*, std::int64_t*, std::size_t)>;
using GetTensorTypeAndShape = Slot<65, OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)>;
using CreateCpuMemoryInfo = Slot<69, OrtStatus*(AllocatorType, MemType, OrtMemoryInfo**)>;
using AllocatorFree = Slot<76, OrtStatus*(OrtAllocator*, void*)>;
using GetAllocatorWithDefaultOptions = Slot<78, OrtStatus*(OrtAllocator**)>;
using ReleaseEnv = Slot<92, void(OrtEnv*)>;
using ReleaseStatus = Slot<93, void(OrtStatus*)>;
using ReleaseMemoryInfo = Slot<94, void(OrtMemoryInfo*)>;
using ReleaseSession = Slot<95, void(OrtSession*)>;
using ReleaseValue = Slot<96, void(OrtValue*)>;
using ReleaseRunOptions = Slot<97, void(OrtRunOptions*)>;
using ReleaseTypeInfo = Slot<98, void(OrtTypeInfo*)>;
using ReleaseTensorTypeAndShapeInfo = Slot<99, void(OrtTensorTypeAndShapeInfo*)>;
using ReleaseSessionOptions = Slot<100, void(OrtSessionOptions*)>;
using CreateEnvWithGlobalThreadPools =
    Slot<119, OrtStatus*(LoggingLevel, const char* log_id, const OrtThreadingOptions*, OrtEnv**)>;
using DisablePerSessionThreads = Slot<120, OrtStatus*(OrtSessionOptions*)>;
using CreateThreadingOptions = Slot<121, OrtStatus*(OrtThreadingOptions**)>;
using ReleaseThreadingOptions = Slot<122, void(OrtThreadingOptions*)>;
using AddSessionConfigEntry = Slot<130, OrtStatus*(OrtSessionOptions*, const char* key, const char* value)>;
using RunWithBinding = Slot<133, OrtStatus*(OrtSession*, const OrtRunOptions*, const OrtIoBinding*)>;
using CreateIoBinding = Slot<134, OrtStatus*(OrtSession*, OrtIoBinding**)>;
using ReleaseIoBinding = Slot<135, void(OrtIoBinding*)>;
using BindInput = Slot<136, OrtStatus*(OrtIoBinding*, const char* name, const OrtValue*)>;
using BindOutput = Slot<137, OrtStatus*(OrtIoBinding*, const char* name, const OrtValue*)>;
using BindOutputToDevice = Slot<138, OrtStatus*(OrtIoBinding*, const char* name, const OrtMemoryInfo*)>;
using GetBoundOutputValues =
    Slot<140, OrtStatus*(const OrtIoBinding*, OrtAllocator*, OrtValue*** values, std::size_t* count)>;
using ClearBoundOutputs = Slot<142, void(OrtIoBinding*)>;
using CreateAndRegisterAllocator = Slot<144, OrtStatus*(OrtEnv*, const OrtMemoryInfo*, const OrtArenaCfg*)>;
using SetGlobalIntraOpNumThreads = Slot<147, OrtStatus*(OrtThreadingOptions*, int)>;
using SetGlobalInterOpNumThreads = Slot<148, OrtStatus*(OrtThreadingOptions*, int)>;

}  // namespace slot
}  // namespace lutra::ort
