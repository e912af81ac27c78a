#pragma once

#include <string>
#include <vector>

namespace lutra::gpu {

/// Where a library may be: `names` as the dynamic linker knows it, newest first, `paths` of files.
struct Candidates {
  std::vector<std::string> names;
  std::vector<std::string> paths;
};

/// A library that is opened where it is first found: already in the process (so that nobody has two of them),
/// at one of the paths, or wherever the system finds it. It is never closed: its threads live as long as the
/// process.
class SharedLibrary {
 public:
  /// @param global other libraries resolve against its symbols, as some of NVIDIA's expect of each other.
  /// @throws std::runtime_error naming `what` and each reason, where none can be opened.
  SharedLibrary(const std::string& what, const Candidates& candidates, bool global = false);

  /// A function. @throws std::runtime_error where the library has none of that name.
  template <typename Function>
  void find(const char* symbol, Function& function) const {
    function = reinterpret_cast<Function>(address_of(symbol));
  }

  /// The file, as the system says.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] void* address_of(const char* symbol) const;

  void* handle_ = nullptr;
  std::string what_;
  std::string path_;
};

}  // namespace lutra::gpu
