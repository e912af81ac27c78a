#include "ort/library.hpp"

#include <dlfcn.h>

#include <stdexcept>

namespace lutra::ort {
namespace {

const ApiBase& load(const std::string& path) {
  // Local symbols: another runtime in the process must not resolve against this one's.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    throw std::runtime_error("cannot load ONNX Runtime: " + std::string(reason != nullptr ? reason : path));
  }
  using GetApiBase = const ApiBase* (*)() noexcept;
  const auto get_api_base = reinterpret_cast<GetApiBase>(dlsym(handle, "OrtGetApiBase"));
  const ApiBase* base = get_api_base != nullptr ? get_api_base() : nullptr;
  if (base == nullptr)
    throw std::runtime_error("'" + path + "' is not an ONNX Runtime library (it has no OrtGetApiBase)");
  return *base;
}

/// 20 of "1.20.1": the API version is the minor release number.
unsigned minor_of(const std::string& version) {
  const std::size_t dot = version.find('.');
  unsigned minor = 0;
  for (std::size_t i = dot + 1; dot != std::string::npos && i < version.size(); ++i) {
    if (version[i] < '0' || version[i] > '9') break;
    minor = minor * 10 + static_cast<unsigned>(version[i] - '0');
  }
  return minor;
}

}  // namespace

Library::Library(const std::string& path) : path_(path) {
  const ApiBase& base = load(path);
  version_ = base.get_version_string();
  // Asking an old library for a table it lacks makes it print to stderr, so its version is looked at first.
  if (version_.starts_with("1.") && minor_of(version_) >= kApiVersion) table_ = base.get_api(kApiVersion);
  if (table_ == nullptr)
    throw std::runtime_error("'" + path + "' is ONNX Runtime " + version_ + ", but version 1." +
                             std::to_string(kApiVersion) + " or newer is needed");
}

void Library::raise(OrtStatus* status) const {
  const std::string message = slot::GetErrorMessage::of(table_)(status);
  slot::ReleaseStatus::of(table_)(status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

}  // namespace lutra::ort
