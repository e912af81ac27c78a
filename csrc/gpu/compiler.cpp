#include "gpu/compiler.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace lutra::gpu {
namespace {

/// The library of built-ins is looked up by symbol, so it is opened for all, before the compiler. Where it is
/// part of the system's own installation the compiler finds it by itself.
SharedLibrary open_behind(const Candidates& library, const Candidates& builtins) {
  for (const std::string& path : builtins.paths)
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) break;
  return SharedLibrary("NVIDIA's run-time compiler", library);
}

}  // namespace

Compiler::Compiler(const Candidates& library, const Candidates& builtins)
    : library_(open_behind(library, builtins)) {
#define LUTRA_FIND(name, symbol, ...) library_.find(symbol, api_.name);
  LUTRA_NVRTC_FUNCTIONS(LUTRA_FIND)
#undef LUTRA_FIND
  library_.find("nvrtcGetErrorString", api_.GetErrorString);
  int minor = 0;
  check(api_.Version(&major_, &minor), "asking for its version");
  version_ = std::to_string(major_) + "." + std::to_string(minor);
  int count = 0;
  check(api_.GetNumSupportedArchs(&count), "asking for its architectures");
  architectures_.resize(static_cast<std::size_t>(count));
  check(api_.GetSupportedArchs(architectures_.data()), "asking for its architectures");
}

std::vector<char> Compiler::compile(const std::string& source, int architecture,
                                    const std::vector<std::string>& definitions) const {
  if (std::find(architectures_.begin(), architectures_.end(), architecture) == architectures_.end()) {
    std::string known;
    for (const int value : architectures_) known += " sm_" + std::to_string(value);
    throw std::runtime_error("NVRTC " + version_ + " does not compile for sm_" +
                             std::to_string(architecture) + "; it does for" + known +
                             ". Install another version of nvidia-cuda-nvrtc");
  }
  nvrtc::Program program = nullptr;
  check(api_.CreateProgram(&program, source.c_str(), "lutra.cu", 0, nullptr, nullptr), "taking the source");
  const auto destroy = [this](nvrtc::Program* held) { api_.DestroyProgram(held); };
  const std::unique_ptr<nvrtc::Program, decltype(destroy)> owner(&program, destroy);
  std::vector<std::string> texts = {"--gpu-architecture=sm_" + std::to_string(architecture), "--std=c++17"};
  for (const std::string& definition : definitions) texts.push_back("-D" + definition);
  std::vector<const char*> options;
  for (const std::string& text : texts) options.push_back(text.c_str());
  const nvrtc::Result result = api_.CompileProgram(program, static_cast<int>(options.size()), options.data());
  if (result != nvrtc::kSuccess) {
    std::size_t size = 0;
    api_.GetLogSize(program, &size);
    std::string log(size, '\0');
    if (size > 0) api_.GetLog(program, log.data());
    throw std::runtime_error("NVRTC " + version_ + " failed for sm_" + std::to_string(architecture) + ": " +
                             api_.GetErrorString(result) + "\n" + log.c_str());
  }
  std::size_t size = 0;
  check(api_.GetCubinSize(program, &size), "giving the machine code");
  std::vector<char> code(size);
  check(api_.GetCubin(program, code.data()), "giving the machine code");
  return code;
}

void Compiler::check(nvrtc::Result result, const char* what) const {
  if (result != nvrtc::kSuccess)
    throw std::runtime_error("NVRTC failed in " + std::string(what) + ": " + api_.GetErrorString(result));
}

}  // namespace lutra::gpu
