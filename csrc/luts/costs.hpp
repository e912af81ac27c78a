#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "isa/isa.hpp"
#include "luts/codes.hpp"
#include "luts/sums/kernels.hpp"

namespace lutra::luts {

/// What each choice at each position costs, laid out for evaluating many architectures at once.
class DenseCosts {
 public:
  /// Costs are row-major, limits.size() x choices; position p has limits[p] choices, the rest of its row is
  /// not read. NaN stands for a cost that is not known and makes a sum NaN; a maximum refuses it. Throws
  /// std::invalid_argument: sizes that do not fit, a position without choices, more than 65536 choices, NaN
  /// where the maximum is taken, an instruction set that this machine does not have.
  DenseCosts(std::span<const float> costs, std::span<const std::uint32_t> limits, std::size_t choices,
             Reduce reduce = Reduce::kSum, Isa isa = best_isa());

  /// Writes one number per architecture: `start`, reduced with its costs in the order of positions. The bits
  /// do not depend on the instruction set, the codes' layout or the number of threads. Throws CodeError for
  /// the first architecture with a choice that its position does not have, and std::invalid_argument: another
  /// number of positions, an output of another size, no thread.
  void evaluate(const CodesView& codes, float start, std::span<float> out, std::size_t threads = 1) const;

  std::size_t positions() const { return limits_.size(); }
  std::size_t choices() const { return choices_; }

 private:
  template <class Code>
  void evaluate_part(const CodesView& codes, float start, std::span<float> out, std::size_t first,
                     std::size_t count) const;
  void run(const Tile<std::uint8_t>& tile) const { kernels_->bytes(tile, reduce_); }
  void run(const Tile<std::uint16_t>& tile) const { kernels_->words(tile, reduce_); }

  std::vector<std::uint32_t> limits_;
  std::size_t choices_;
  Reduce reduce_;
  const SumKernels* kernels_;
  std::size_t row_stride_;
  std::vector<float> rows_;
};

}  // namespace lutra::luts
