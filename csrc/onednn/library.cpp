#include "onednn/library.hpp"

#include <dlfcn.h>

#include <new>
#include <stdexcept>

namespace lutra::onednn {
namespace {

constexpr int kMajorVersion = 3;

void* open(const std::string& path) {
  // Local symbols: another runtime in the process must not resolve against this one's.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    throw std::runtime_error("cannot load oneDNN: " + std::string(reason != nullptr ? reason : path));
  }
  return handle;
}

template <typename Function>
void find(void* handle, const std::string& path, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  if (function == nullptr)
    throw std::runtime_error("'" + path + "' is not an oneDNN library with OpenMP (it has no " + name + ")");
}

std::string text_of(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

Api load_api(void* handle, const std::string& path) {
  Api api{};
#define LUTRA_FIND(name) find(handle, path, "dnnl_" #name, api.name)
  LUTRA_FIND(version);
  // Looked at first: other versions have functions of the same names that take other arguments.
  if (api.version()->major != kMajorVersion)
    throw std::runtime_error("'" + path + "' is oneDNN " + text_of(*api.version()) +
                             ", but version 3 is needed");
  LUTRA_FIND(engine_create);
  LUTRA_FIND(engine_destroy);
  LUTRA_FIND(stream_create);
  LUTRA_FIND(stream_destroy);
  LUTRA_FIND(stream_wait);
  LUTRA_FIND(memory_desc_create_with_strides);
  LUTRA_FIND(memory_desc_create_with_tag);
  LUTRA_FIND(memory_desc_create_submemory);
  LUTRA_FIND(memory_desc_clone);
  LUTRA_FIND(memory_desc_destroy);
  LUTRA_FIND(memory_desc_get_size);
  LUTRA_FIND(memory_create);
  LUTRA_FIND(memory_destroy);
  LUTRA_FIND(primitive_attr_create);
  LUTRA_FIND(primitive_attr_destroy);
  LUTRA_FIND(primitive_attr_set_post_ops);
  LUTRA_FIND(primitive_attr_set_scratchpad_mode);
  LUTRA_FIND(post_ops_create);
  LUTRA_FIND(post_ops_destroy);
  LUTRA_FIND(post_ops_append_sum);
  LUTRA_FIND(post_ops_append_eltwise);
  LUTRA_FIND(post_ops_append_binary);
  LUTRA_FIND(primitive_desc_query);
  LUTRA_FIND(primitive_desc_query_md);
  LUTRA_FIND(primitive_desc_destroy);
  LUTRA_FIND(primitive_create);
  LUTRA_FIND(primitive_execute);
  LUTRA_FIND(primitive_destroy);
  LUTRA_FIND(convolution_forward_primitive_desc_create);
  LUTRA_FIND(deconvolution_forward_primitive_desc_create);
  LUTRA_FIND(inner_product_forward_primitive_desc_create);
  LUTRA_FIND(matmul_primitive_desc_create);
  LUTRA_FIND(pooling_forward_primitive_desc_create);
  LUTRA_FIND(eltwise_forward_primitive_desc_create);
  LUTRA_FIND(binary_primitive_desc_create);
  LUTRA_FIND(softmax_forward_primitive_desc_create);
  LUTRA_FIND(layer_normalization_forward_primitive_desc_create);
  LUTRA_FIND(batch_normalization_forward_primitive_desc_create);
  LUTRA_FIND(resampling_forward_primitive_desc_create);
  LUTRA_FIND(shuffle_forward_primitive_desc_create);
  LUTRA_FIND(reduction_primitive_desc_create);
  LUTRA_FIND(reorder_primitive_desc_create);
  LUTRA_FIND(concat_primitive_desc_create);
#undef LUTRA_FIND
  return api;
}

}  // namespace

Library::Library(const std::string& path) : path_(path) {
  void* const handle = open(path);
  api_ = load_api(handle, path);
  version_ = text_of(*api_.version());
  // Looked up from this library on, which finds the OpenMP runtime that it is linked to.
  find(handle, path, "omp_set_num_threads", omp_set_num_threads_);
}

void Library::raise(Status status, std::string_view what) const {
  const std::string subject(what);
  switch (status) {
    case kOutOfMemory:
      throw std::bad_alloc();
    case kUnimplemented:
      throw std::invalid_argument("oneDNN " + version_ + " does not implement " + subject);
    case kInvalidArguments:
      throw std::invalid_argument("oneDNN " + version_ + " refuses the operands of " + subject);
    default:
      throw std::runtime_error("oneDNN " + version_ + " failed with status " + std::to_string(status) +
                               " in " + subject);
  }
}

}  // namespace lutra::onednn
