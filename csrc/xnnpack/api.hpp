#pragma once

#include <cstddef>
#include <cstdint>

// The part of XNNPACK's C interface that Lutra calls, declared by hand: the executorch wheel ships the
// library without xnnpack.h. Functions are found by name, so only signatures can be wrong; those here are the
// same in every release since 2023. Operators that newer releases give by number (xnn_define_unary with an
// enum that was renumbered) are called through their older functions, one each.

namespace lutra::xnnpack {

// Opaque handles.
struct XnnSubgraph;
struct XnnRuntime;
struct XnnThreadpool;

enum Status : int {
  kSuccess = 0,
  kUninitialized = 1,
  kInvalidParameter = 2,
  kInvalidState = 3,
  kUnsupportedParameter = 4,
  kUnsupportedHardware = 5,
  kOutOfMemory = 6,
  kReallocationRequired = 7,
  kDeprecated = 8,
};

enum Datatype : int { kFp32 = 1 };

inline constexpr std::size_t kMaxRank = 6;
inline constexpr std::uint32_t kNoValue = UINT32_MAX;
inline constexpr std::uint32_t kExternalInput = 1;
inline constexpr std::uint32_t kExternalOutput = 2;
inline constexpr std::uint32_t kTransposeB = 1;
inline constexpr std::uint32_t kKeepDims = 0x40;

/// Bytes that kernels may read (never write) behind a tensor; 16 on CPUs, with room for wider ones.
inline constexpr std::size_t kExtraBytes = 128;

/// Where an input or output of a runtime is in memory.
struct ExternalValue {
  std::uint32_t id;
  void* data;
};

/// Functions that every model needs. Those that define operators are looked up when one is used.
struct Api {
  Status (*initialize)(const void* allocator) noexcept;
  Status (*create_subgraph)(std::uint32_t external_values, std::uint32_t flags, XnnSubgraph**) noexcept;
  Status (*delete_subgraph)(XnnSubgraph*) noexcept;
  Status (*define_tensor_value)(XnnSubgraph*, Datatype, std::size_t rank, const std::size_t* shape,
                                const void* data, std::uint32_t external_id, std::uint32_t flags,
                                std::uint32_t* id) noexcept;
  Status (*create_runtime)(XnnSubgraph*, XnnThreadpool*, std::uint32_t flags, XnnRuntime**) noexcept;
  Status (*reshape_runtime)(XnnRuntime*) noexcept;
  Status (*setup_runtime)(XnnRuntime*, std::size_t count, const ExternalValue*) noexcept;
  Status (*get_external_value_shape)(XnnRuntime*, std::uint32_t external_id, std::size_t* rank,
                                     std::size_t* shape) noexcept;
  Status (*invoke_runtime)(XnnRuntime*) noexcept;
  Status (*delete_runtime)(XnnRuntime*) noexcept;
  XnnThreadpool* (*create_threadpool)(std::size_t threads) noexcept;
  void (*destroy_threadpool)(XnnThreadpool*) noexcept;
};

}  // namespace lutra::xnnpack
