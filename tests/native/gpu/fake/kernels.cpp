#include <tuple>
#include <utility>

#include "device.hpp"

#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"

namespace tools {
#include "gpu/kernels/tools.cu"
}

#define LUTRA_ALL_KERNELS                                                                \
  {LUTRA_ENTRY(unary),           LUTRA_ENTRY(binary),     LUTRA_ENTRY(binary_broadcast), \
   LUTRA_ENTRY(epilogue),        LUTRA_ENTRY(batch_norm), LUTRA_ENTRY(copy_strided),     \
   LUTRA_ENTRY(transpose_tiles), LUTRA_ENTRY(fill),       LUTRA_ENTRY(embedding),        \
   LUTRA_ENTRY(upsample),        LUTRA_ENTRY(pool),       LUTRA_ENTRY(depthwise),        \
   LUTRA_ENTRY(softmax),         LUTRA_ENTRY(norm),       LUTRA_ENTRY(reduce_rows),      \
   LUTRA_ENTRY(reduce_strided),  LUTRA_ENTRY(quantise),   LUTRA_ENTRY(quantise_float8),  \
   LUTRA_ENTRY(dequantise),      LUTRA_ENTRY(requantise)}
#define LUTRA_ENTRY(name) {"lutra_" #name, fake::maker(&lutra_##name)}

namespace fake {

/// Copies the arguments, as a launch does, and calls with them.
template <typename... Arguments>
Maker maker(void (*kernel)(Arguments...)) {
  return [kernel](void** given) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) -> std::function<void()> {
      std::tuple<Arguments...> copied(*static_cast<Arguments*>(given[I])...);
      return [kernel, copied] { std::apply(kernel, copied); };
    }(std::index_sequence_for<Arguments...>());
  };
}

}  // namespace fake

#define LUTRA_ELEMENT 0
namespace float32 {
// clang-format off
#include "gpu/kernels/prelude.cu"
#include "gpu/kernels/elementwise.cu"
#include "gpu/kernels/movement.cu"
#include "gpu/kernels/window.cu"
#include "gpu/kernels/rows.cu"
#include "gpu/kernels/eight.cu"
// clang-format on
const std::map<std::string, fake::Maker> all = LUTRA_ALL_KERNELS;
}  // namespace float32
#undef LUTRA_ELEMENT
#undef LUTRA_PACK
#undef LUTRA_THREAD
#undef LUTRA_THREADS
#undef LUTRA_ROW

#define LUTRA_ELEMENT 1
namespace float16 {
// clang-format off
#include "gpu/kernels/prelude.cu"
#include "gpu/kernels/elementwise.cu"
#include "gpu/kernels/movement.cu"
#include "gpu/kernels/window.cu"
#include "gpu/kernels/rows.cu"
#include "gpu/kernels/eight.cu"
// clang-format on
const std::map<std::string, fake::Maker> all = LUTRA_ALL_KERNELS;
}  // namespace float16
#undef LUTRA_ELEMENT
#undef LUTRA_PACK
#undef LUTRA_THREAD
#undef LUTRA_THREADS
#undef LUTRA_ROW

#define LUTRA_ELEMENT 2
namespace bfloat16 {
// clang-format off
#include "gpu/kernels/prelude.cu"
#include "gpu/kernels/elementwise.cu"
#include "gpu/kernels/movement.cu"
#include "gpu/kernels/window.cu"
#include "gpu/kernels/rows.cu"
#include "gpu/kernels/eight.cu"
// clang-format on
const std::map<std::string, fake::Maker> all = LUTRA_ALL_KERNELS;
}  // namespace bfloat16
#undef LUTRA_ELEMENT
#undef LUTRA_PACK
#undef LUTRA_THREAD
#undef LUTRA_THREADS
#undef LUTRA_ROW

#define LUTRA_ELEMENT 3
namespace int8 {
// clang-format off
#include "gpu/kernels/prelude.cu"
#include "gpu/kernels/elementwise.cu"
#include "gpu/kernels/movement.cu"
#include "gpu/kernels/window.cu"
#include "gpu/kernels/rows.cu"
#include "gpu/kernels/eight.cu"
// clang-format on
const std::map<std::string, fake::Maker> all = LUTRA_ALL_KERNELS;
}  // namespace int8

namespace tools {
const std::map<std::string, fake::Maker> all = {LUTRA_ENTRY(nothing),    LUTRA_ENTRY(hold),
                                                LUTRA_ENTRY(flush),      LUTRA_ENTRY(clock_probe),
                                                LUTRA_ENTRY(arithmetic), LUTRA_ENTRY(triad)};
}

namespace fake {

const std::map<std::string, Maker>& kernels(int element) {
  switch (element) {
    case 0:
      return float32::all;
    case 1:
      return float16::all;
    case 2:
      return bfloat16::all;
    case 3:
      return int8::all;
    default:
      return tools::all;
  }
}

}  // namespace fake
