#include "gpu/ahead.hpp"

#include <algorithm>

namespace lutra::gpu {

bool ahead_runs(int architecture, int cuda_version) {
  const std::string compiler = ahead_compiler();
  if (compiler.empty() || std::stoi(compiler) > cuda_version / 1000) return false;
  const std::vector<int> made = ahead_architectures();
  return std::any_of(made.begin(), made.end(),
                     [=](int own) { return own / 10 == architecture / 10 && own <= architecture; });
}

}  // namespace lutra::gpu
