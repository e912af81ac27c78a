#pragma once

#include <memory>
#include <string>

#include "xnnpack/api.hpp"

namespace lutra::xnnpack {

/// A loaded library that exports XNNPACK. It is never unloaded: it keeps tables that live runtimes point at.
class Library {
 public:
  /// @throws std::runtime_error if the file cannot be loaded, does not export XNNPACK, or refuses this CPU.
  explicit Library(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Hex digits that tell builds of XNNPACK's kernels apart; "" where the library does not say.
  [[nodiscard]] const std::string& build() const { return build_; }
  [[nodiscard]] const Api& api() const { return api_; }

  /// Address of an exported function.
  /// @throws std::runtime_error naming it if the library lacks it.
  [[nodiscard]] void* symbol(const std::string& name) const;

  /// Turns a status into an exception that says which call failed, and how by XNNPACK's own name.
  void check(Status status, const std::string& call) const {
    if (status != kSuccess) [[unlikely]]
      raise(status, call);
  }

 private:
  [[noreturn]] static void raise(Status status, const std::string& call);
  template <typename Function>
  void load(Function& function, const char* name) const;
  void load_api();

  std::string path_;
  std::string build_;
  void* handle_ = nullptr;
  Api api_{};
};

/// XNNPACK's name of a status.
const char* status_name(Status status);

/// The threads that sessions share: none with one thread, else one pool.
class Environment {
 public:
  /// @throws std::invalid_argument for fewer than one thread; std::runtime_error if no pool can be made.
  Environment(std::shared_ptr<const Library> library, int threads);

  [[nodiscard]] const Library& library() const { return *library_; }
  [[nodiscard]] int threads() const { return threads_; }
  /// nullptr with one thread.
  [[nodiscard]] XnnThreadpool* pool() const { return pool_.get(); }

 private:
  struct Destroy {
    const Api* api = nullptr;
    void operator()(XnnThreadpool* pool) const noexcept { api->destroy_threadpool(pool); }
  };

  std::shared_ptr<const Library> library_;
  int threads_;
  std::unique_ptr<XnnThreadpool, Destroy> pool_;
};

}  // namespace lutra::xnnpack
