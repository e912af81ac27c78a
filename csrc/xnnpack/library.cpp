#include "xnnpack/library.hpp"

#include <dlfcn.h>

#include <cstring>
#include <stdexcept>
#include <utility>

namespace lutra::xnnpack {
namespace {

void* open_library(const std::string& path) {
  // Local symbols: another runtime in the process must not resolve against this one's.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    throw std::runtime_error("cannot load XNNPACK: " + std::string(reason != nullptr ? reason : path));
  }
  return handle;
}

/// FNV-1a, in hex: the identifier itself has 32 bytes of hash or more.
std::string digest(const unsigned char* data, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3U;
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15U];
  return text;
}

std::string build_of(void* handle) {
  const auto data =
      reinterpret_cast<const void* (*)()>(dlsym(handle, "xnn_experimental_get_build_identifier_data"));
  const auto size =
      reinterpret_cast<std::size_t (*)()>(dlsym(handle, "xnn_experimental_get_build_identifier_size"));
  if (data == nullptr || size == nullptr) return "";
  return digest(static_cast<const unsigned char*>(data()), size());
}

}  // namespace

const char* status_name(Status status) {
  switch (status) {
    case kSuccess:
      return "success";
    case kUninitialized:
      return "uninitialized";
    case kInvalidParameter:
      return "invalid parameter";
    case kInvalidState:
      return "invalid state";
    case kUnsupportedParameter:
      return "unsupported parameter";
    case kUnsupportedHardware:
      return "unsupported hardware";
    case kOutOfMemory:
      return "out of memory";
    case kReallocationRequired:
      return "reallocation required";
    case kDeprecated:
      return "deprecated";
  }
  return "unknown status";
}

Library::Library(const std::string& path) : path_(path), handle_(open_library(path)) {
  load_api();
  build_ = build_of(handle_);
  check(api_.initialize(nullptr), "xnn_initialize");
}

void* Library::symbol(const std::string& name) const {
  void* address = dlsym(handle_, name.c_str());
  if (address == nullptr) throw std::runtime_error("the XNNPACK in '" + path_ + "' has no " + name);
  return address;
}

template <typename Function>
void Library::load(Function& function, const char* name) const {
  function = reinterpret_cast<Function>(symbol(name));
}

void Library::load_api() {
  load(api_.initialize, "xnn_initialize");
  load(api_.create_subgraph, "xnn_create_subgraph");
  load(api_.delete_subgraph, "xnn_delete_subgraph");
  load(api_.define_tensor_value, "xnn_define_tensor_value");
  load(api_.create_runtime, "xnn_create_runtime_v2");
  load(api_.reshape_runtime, "xnn_reshape_runtime");
  load(api_.setup_runtime, "xnn_setup_runtime_v2");
  load(api_.get_external_value_shape, "xnn_get_external_value_shape");
  load(api_.invoke_runtime, "xnn_invoke_runtime");
  load(api_.delete_runtime, "xnn_delete_runtime");
  // From a library that this one depends on, or compiled into it.
  load(api_.create_threadpool, "pthreadpool_create");
  load(api_.destroy_threadpool, "pthreadpool_destroy");
}

void Library::raise(Status status, const std::string& call) {
  throw std::runtime_error("XNNPACK: " + call + ": " + status_name(status));
}

Environment::Environment(std::shared_ptr<const Library> library, int threads)
    : library_(std::move(library)), threads_(threads), pool_(nullptr, Destroy{&library_->api()}) {
  if (threads < 1) throw std::invalid_argument("threads must be at least 1");
  if (threads == 1) return;
  pool_.reset(library_->api().create_threadpool(static_cast<std::size_t>(threads)));
  if (!pool_)
    throw std::runtime_error("XNNPACK: no pool of " + std::to_string(threads) + " threads can be made");
}

}  // namespace lutra::xnnpack
