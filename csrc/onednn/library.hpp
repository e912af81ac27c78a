#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "onednn/api.hpp"

namespace lutra::onednn {

/// A loaded oneDNN library with the OpenMP runtime that it brings.
///
/// The library is never unloaded: its threads and generated code live as long as the process.
class Library {
 public:
  /// @throws std::runtime_error if the file cannot be loaded, is no oneDNN, or is not of version 3.
  explicit Library(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] const Api& api() const { return api_; }

  /// How many threads primitives use that are made and run by the calling thread. OpenMP keeps the number by
  /// thread, so every thread that runs primitives sets it.
  void set_threads(int threads) const { omp_set_num_threads_(threads); }

  /// Turns a status into an exception that says what was asked for.
  /// @throws std::bad_alloc, std::invalid_argument (nothing implements it, or the operands do not fit),
  /// std::runtime_error.
  void check(Status status, std::string_view what) const {
    if (status != kSuccess) [[unlikely]]
      raise(status, what);
  }

 private:
  [[noreturn]] void raise(Status status, std::string_view what) const;

  std::string path_;
  std::string version_;
  Api api_{};
  void (*omp_set_num_threads_)(int) = nullptr;
};

/// Owns one handle and gives it back through the function at `Destroy`.
template <typename T, Status (*Api::*Destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  Handle(const Library& library, T* handle) : handle_(handle, Deleter{&library.api()}) {}

  [[nodiscard]] T* get() const { return handle_.get(); }

 private:
  struct Deleter {
    const Api* api = nullptr;
    void operator()(T* handle) const noexcept { (api->*Destroy)(handle); }
  };
  std::unique_ptr<T, Deleter> handle_;
};

using Engine = Handle<dnnl_engine, &Api::engine_destroy>;
using Stream = Handle<dnnl_stream, &Api::stream_destroy>;
using MemoryDesc = Handle<dnnl_memory_desc, &Api::memory_desc_destroy>;
using Memory = Handle<dnnl_memory, &Api::memory_destroy>;
using Attributes = Handle<dnnl_primitive_attr, &Api::primitive_attr_destroy>;
using PostOps = Handle<dnnl_post_ops, &Api::post_ops_destroy>;
using PrimitiveDesc = Handle<dnnl_primitive_desc, &Api::primitive_desc_destroy>;
using Primitive = Handle<dnnl_primitive, &Api::primitive_destroy>;

namespace detail {

template <typename H>
struct Raw;
template <typename T, Status (*Api::*Destroy)(T*)>
struct Raw<Handle<T, Destroy>> {
  using type = T;
};

}  // namespace detail

/// Calls a function whose first argument receives a new handle, and takes ownership of it.
template <typename H, typename Function, typename... Args>
H create(const Library& library, std::string_view what, Function function, Args... args) {
  typename detail::Raw<H>::type* handle = nullptr;
  library.check(function(&handle, args...), what);
  return H(library, handle);
}

}  // namespace lutra::onednn
