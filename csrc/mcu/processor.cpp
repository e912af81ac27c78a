#include "mcu/processor.hpp"

#include <stdexcept>
#include <string>

#include "mcu/riscv/core.hpp"
#include "mcu/riscv/timing.hpp"
#include "mcu/thumb/core.hpp"
#include "mcu/timing/m0plus.hpp"
#include "mcu/timing/m7.hpp"
#include "mcu/timing/pipelined.hpp"

namespace lutra::mcu {

namespace {

thumb::Features features_of(const Board& board) {
  thumb::Features features;
  features.mainline = board.core != CoreKind::cortex_m0plus;
  features.dsp = features.mainline && board.core != CoreKind::cortex_m3;
  features.fpu = board.fpu;
  features.fpu_v5 = board.fpu && board.core != CoreKind::cortex_m4;
  return features;
}

template <class Timing>
std::unique_ptr<Processor> make_cortex(const Board& board, Memory& memory, const ElfImage& image) {
  return std::make_unique<thumb::Core<Timing>>(board, memory, image, features_of(board));
}

}  // namespace

std::unique_ptr<Processor> make_processor(const Board& board, Memory& memory, const ElfImage& image) {
  switch (board.core) {
    case CoreKind::cortex_m0plus:
      return make_cortex<CortexM0PlusTiming>(board, memory, image);
    case CoreKind::cortex_m3:
      return make_cortex<CortexM3Timing>(board, memory, image);
    case CoreKind::cortex_m4:
    case CoreKind::cortex_m33:
      return make_cortex<CortexM4Timing>(board, memory, image);
    case CoreKind::cortex_m7:
      return make_cortex<M7Timing>(board, memory, image);
    case CoreKind::rv32imc:
      return std::make_unique<riscv::Core<riscv::InOrderTiming>>(board, memory, image);
  }
  throw std::invalid_argument("board: there is no timing for core " + std::string(core_name(board.core)));
}

}  // namespace lutra::mcu
