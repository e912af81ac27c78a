#include "isa/isa.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lutra {

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512Vnni:
      return "avx512_vnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kBaseline:
      break;
  }
#if defined(__x86_64__)
  return "sse2";
#elif defined(__aarch64__) || defined(__ARM_NEON)
  return "neon";
#else
  return "generic";
#endif
}

std::vector<Isa> available_isas() {
  std::vector<Isa> found{Isa::kBaseline};
#if LUTRA_X86_VARIANTS
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(Isa::kAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    found.push_back(Isa::kAvx512);
    if (__builtin_cpu_supports("avx512vnni")) found.push_back(Isa::kAvx512Vnni);
  }
#endif
  return found;
}

Isa best_isa() { return available_isas().back(); }

void require_isa(Isa isa) {
  const std::vector<Isa> available = available_isas();
  if (std::find(available.begin(), available.end(), isa) == available.end())
    throw std::invalid_argument("this machine cannot run " + std::string(isa_name(isa)) +
                                " kernels; it can run " + std::string(isa_name(available.back())));
}

Isa isa_named(std::string_view name) {
  for (const Isa isa : available_isas())
    if (isa_name(isa) == name) return isa;
  throw std::invalid_argument("this machine has no kernels for '" + std::string(name) + "'");
}

}  // namespace lutra
