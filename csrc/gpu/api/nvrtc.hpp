#pragma once

#include <cstddef>

// The part of NVIDIA's run-time compiler (libnvrtc) that is used.

struct _nvrtcProgram;

namespace lutra::gpu::nvrtc {

using Result = int;
using Program = _nvrtcProgram*;

inline constexpr Result kSuccess = 0;
inline constexpr Result kBuiltinFailure = 7;

#define LUTRA_NVRTC_FUNCTIONS(X)                                                                      \
  X(Version, "nvrtcVersion", int*, int*)                                                              \
  X(GetNumSupportedArchs, "nvrtcGetNumSupportedArchs", int*)                                          \
  X(GetSupportedArchs, "nvrtcGetSupportedArchs", int*)                                                \
  X(CreateProgram, "nvrtcCreateProgram", Program*, const char*, const char*, int, const char* const*, \
    const char* const*)                                                                               \
  X(DestroyProgram, "nvrtcDestroyProgram", Program*)                                                  \
  X(CompileProgram, "nvrtcCompileProgram", Program, int, const char* const*)                          \
  X(GetCubinSize, "nvrtcGetCUBINSize", Program, std::size_t*)                                         \
  X(GetCubin, "nvrtcGetCUBIN", Program, char*)                                                        \
  X(GetLogSize, "nvrtcGetProgramLogSize", Program, std::size_t*)                                      \
  X(GetLog, "nvrtcGetProgramLog", Program, char*)

struct Api {
#define LUTRA_DECLARE(name, symbol, ...) Result (*name)(__VA_ARGS__) = nullptr;
  LUTRA_NVRTC_FUNCTIONS(LUTRA_DECLARE)
#undef LUTRA_DECLARE
  const char* (*GetErrorString)(Result) = nullptr;
};

}  // namespace lutra::gpu::nvrtc
