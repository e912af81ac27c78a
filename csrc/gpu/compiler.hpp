#pragma once

#include <string>
#include <vector>

#include "gpu/api/nvrtc.hpp"
#include "gpu/shared_library.hpp"

namespace lutra::gpu {

/// NVIDIA's run-time compiler. Needs neither a GPU nor a driver.
class Compiler {
 public:
  /// @param builtins the library of built-in functions, which must be there before the compiler is.
  /// @throws std::runtime_error where it is missing.
  Compiler(const Candidates& library, const Candidates& builtins);

  /// "13.0".
  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] int major() const { return major_; }
  [[nodiscard]] const std::string& path() const { return library_.path(); }
  /// Architectures that it compiles for: 80, 90.
  [[nodiscard]] const std::vector<int>& architectures() const { return architectures_; }

  /// Machine code of `source` for one architecture.
  /// @throws std::runtime_error with the compiler's own words; for an architecture it does not know it says
  /// which it does.
  [[nodiscard]] std::vector<char> compile(const std::string& source, int architecture,
                                          const std::vector<std::string>& definitions) const;

 private:
  void check(nvrtc::Result result, const char* what) const;

  SharedLibrary library_;
  nvrtc::Api api_{};
  int major_ = 0;
  std::string version_;
  std::vector<int> architectures_;
};

/// Our kernels for one element type (0 float32, 1 float16, 2 bfloat16, 3 int8): `kernel_source` with
/// `LUTRA_ELEMENT` defined as its number.
[[nodiscard]] std::string kernel_source();
/// What the measuring protocol runs.
[[nodiscard]] std::string tools_source();

}  // namespace lutra::gpu
