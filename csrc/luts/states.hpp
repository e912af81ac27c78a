#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "luts/codes.hpp"

namespace lutra::luts {

/// Costs that depend on what the positions before left behind (the layout of a tensor) become plain costs
/// once each choice is written together with the state in which it is met: state * choices + choice.
class StateWalk {
 public:
  /// `next` is row-major, limits.size() x states x choices: the state behind a choice met in a state. All
  /// start in `start`. Throws std::invalid_argument: sizes that do not fit, or a state that there is not.
  StateWalk(std::span<const std::uint16_t> next, std::span<const std::uint32_t> limits, std::size_t states,
            std::size_t choices, std::size_t start);

  /// Writes state * choices + choice of architecture i at position p to out[p * codes.count + i], and the
  /// state that is left at the end to out[positions() * codes.count + i]. Throws CodeError for the first
  /// architecture with a choice that its position does not have, and std::invalid_argument: another number of
  /// positions, an output of another size, no thread.
  void expand(const CodesView& codes, std::span<std::uint16_t> out, std::size_t threads = 1) const;

  std::size_t positions() const { return limits_.size(); }

 private:
  void expand_part(const CodesView& codes, std::span<std::uint16_t> out, std::size_t first,
                   std::size_t count) const;

  std::vector<std::uint16_t> next_;
  std::vector<std::uint32_t> limits_;
  std::size_t states_;
  std::size_t choices_;
  std::size_t start_;
};

}  // namespace lutra::luts
