#pragma once

#include <string_view>
#include <vector>

// Code that is compiled once per instruction set, and picked at run time. Where the compiler cannot target
// another instruction set than its own, only the baseline is compiled: the macros below then expand to
// nothing.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define LUTRA_X86_VARIANTS 1
#else
#define LUTRA_X86_VARIANTS 0
#endif

#define LUTRA_PRAGMA(text) _Pragma(#text)
#if LUTRA_X86_VARIANTS && defined(__clang__)
#define LUTRA_TARGET_BEGIN(isa) \
  LUTRA_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define LUTRA_TARGET_END LUTRA_PRAGMA(clang attribute pop)
#elif LUTRA_X86_VARIANTS
#define LUTRA_TARGET_BEGIN(isa) LUTRA_PRAGMA(GCC push_options) LUTRA_PRAGMA(GCC target(isa))
// Templates take the target that is active where they are instantiated, which is the end of the file: no pop.
#define LUTRA_TARGET_END
#else
#define LUTRA_TARGET_BEGIN(isa)
#define LUTRA_TARGET_END
#endif

#define LUTRA_TARGET_AVX2 "avx2,fma"
#define LUTRA_TARGET_AVX512 "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"
#define LUTRA_TARGET_AVX512_VNNI "avx512vnni,avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"

namespace lutra {

/// Instruction sets that code is compiled for. The baseline is whatever the compiler targets by default. One
/// that is an extension of another (VNNI: sums of products of 8-bit numbers) replaces only what gains by it.
enum class Isa { kBaseline, kAvx2, kAvx512, kAvx512Vnni };

/// "avx512_vnni", "avx512", "avx2", "sse2", "neon" or "generic".
std::string_view isa_name(Isa isa);

/// What this machine can run, slowest first; never empty.
std::vector<Isa> available_isas();

/// The fastest of `available_isas()`.
Isa best_isa();

/// Throws std::invalid_argument where this machine cannot run `isa`.
void require_isa(Isa isa);

/// The instruction set of that name. Throws std::invalid_argument where this machine does not have it.
Isa isa_named(std::string_view name);

}  // namespace lutra
