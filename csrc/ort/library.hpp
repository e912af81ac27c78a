#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ort/api.hpp"

namespace lutra::ort {

/// A loaded ONNX Runtime library.
///
/// The library is never unloaded: it keeps threads and thread-local destructors that would then run in
/// unmapped memory.
class Library {
 public:
  /// @throws std::runtime_error if the file cannot be loaded, is no ONNX Runtime, or is too old.
  explicit Library(const std::string& path);

  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The function table; equal for every Library of the same file.
  [[nodiscard]] const void* table() const { return table_; }

  /// Calls a function of the table. One that returns a status has it turned into an exception.
  /// @throws std::runtime_error with the library's own message.
  template <typename S, typename... Args>
  void call(Args&&... args) const {
    check(S::of(table_)(std::forward<Args>(args)...));
  }

  /// Turns a status into an exception and releases it; nullptr means success.
  void check(OrtStatus* status) const {
    if (status != nullptr) [[unlikely]]
      raise(status);
  }

 private:
  [[noreturn]] void raise(OrtStatus* status) const;

  std::string path_;
  std::string version_;
  const void* table_ = nullptr;
};

/// Owns one handle and gives it back through the table's Release function `S`.
template <typename T, typename S>
class Handle {
 public:
  Handle() = default;
  Handle(const Library& library, T* handle) : handle_(handle, Deleter{library.table()}) {}

  [[nodiscard]] T* get() const { return handle_.get(); }

 private:
  struct Deleter {
    const void* table = nullptr;
    void operator()(T* handle) const noexcept { S::of(table)(handle); }
  };
  std::unique_ptr<T, Deleter> handle_;
};

using Env = Handle<OrtEnv, slot::ReleaseEnv>;
using MemoryInfo = Handle<OrtMemoryInfo, slot::ReleaseMemoryInfo>;
using SessionHandle = Handle<OrtSession, slot::ReleaseSession>;
using Value = Handle<OrtValue, slot::ReleaseValue>;
using RunOptions = Handle<OrtRunOptions, slot::ReleaseRunOptions>;
using TypeInfo = Handle<OrtTypeInfo, slot::ReleaseTypeInfo>;
using TensorInfo = Handle<OrtTensorTypeAndShapeInfo, slot::ReleaseTensorTypeAndShapeInfo>;
using SessionOptionsHandle = Handle<OrtSessionOptions, slot::ReleaseSessionOptions>;
using ThreadingOptions = Handle<OrtThreadingOptions, slot::ReleaseThreadingOptions>;
using IoBinding = Handle<OrtIoBinding, slot::ReleaseIoBinding>;

namespace detail {

template <typename H>
struct Raw;
template <typename T, typename S>
struct Raw<Handle<T, S>> {
  using type = T;
};

}  // namespace detail

/// Calls a function whose last argument receives a new handle, and takes ownership of it.
template <typename H, typename S, typename... Args>
H create(const Library& library, Args... args) {
  typename detail::Raw<H>::type* handle = nullptr;
  library.call<S>(args..., &handle);
  return H(library, handle);
}

}  // namespace lutra::ort
