#include "gpu/shared_library.hpp"

#include <dlfcn.h>
#include <link.h>

#include <stdexcept>

namespace lutra::gpu {
namespace {

/// The file behind a handle; empty where the system does not say.
std::string path_of(void* handle) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return "";
  return map->l_name;
}

std::string reason() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown reason";
}

}  // namespace

SharedLibrary::SharedLibrary(const std::string& what, const Candidates& candidates, bool global)
    : what_(what) {
  const int scope = RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL);
  for (const std::string& name : candidates.names)
    if (handle_ == nullptr) handle_ = dlopen(name.c_str(), scope | RTLD_NOLOAD);
  std::string reasons;
  for (const auto* group : {&candidates.paths, &candidates.names}) {
    for (const std::string& place : *group) {
      if (handle_ != nullptr) break;
      handle_ = dlopen(place.c_str(), scope);
      if (handle_ == nullptr) reasons += "\n  " + reason();
    }
  }
  if (handle_ == nullptr) throw std::runtime_error("cannot load " + what_ + ":" + reasons);
  path_ = path_of(handle_);
}

void* SharedLibrary::address_of(const char* symbol) const {
  void* const address = dlsym(handle_, symbol);
  if (address == nullptr) throw std::runtime_error(what_ + " at '" + path_ + "' has no " + symbol);
  return address;
}

}  // namespace lutra::gpu
