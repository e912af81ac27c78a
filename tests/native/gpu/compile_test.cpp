// Our kernels through NVIDIA's compiler, for every architecture that they are meant for. Needs no GPU.
//
// The path of libnvrtc is given; its library of built-ins is beside it.

#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>

#include "check.hpp"
#include "gpu/compiler.hpp"

using namespace lutra::gpu;

namespace {

constexpr int kArchitectures[] = {80, 90, 100, 120};

std::vector<std::string> builtins_beside(const std::filesystem::path& library) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(library.parent_path()))
    if (entry.path().filename().string().starts_with("libnvrtc-builtins.so")) found.push_back(entry.path());
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return lutra::check::skip("nvidia-cuda-nvrtc is not installed");
  const Compiler compiler({{}, {argv[1]}}, {{}, builtins_beside(argv[1])});
  for (const int architecture : kArchitectures) {
    for (const char* element : {"0", "1", "2", "3"})
      CHECK(!compiler.compile(kernel_source(), architecture, {std::string("LUTRA_ELEMENT=") + element})
                 .empty());
    CHECK(!compiler.compile(tools_source(), architecture, {}).empty());
  }
  CHECK_THROWS(std::runtime_error, compiler.compile("no C++", 90, {}));
  CHECK_THROWS(std::runtime_error, compiler.compile(tools_source(), 35, {}));
  return lutra::check::finish();
}
