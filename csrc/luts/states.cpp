#include "luts/states.hpp"

#include <algorithm>
#include <stdexcept>

#include "luts/parallel.hpp"
#include "luts/tiles.hpp"

namespace lutra::luts {

namespace {
constexpr std::size_t kMaxExpanded = 65536;
}

StateWalk::StateWalk(std::span<const std::uint16_t> next, std::span<const std::uint32_t> limits,
                     std::size_t states, std::size_t choices, std::size_t start)
    : next_(next.begin(), next.end()),
      limits_(limits.begin(), limits.end()),
      states_(states),
      choices_(choices),
      start_(start) {
  if (states == 0 || choices == 0 || states > kMaxExpanded / choices)
    throw std::invalid_argument("states x choices must be 1 to 65536");
  if (next.size() != limits.size() * states * choices)
    throw std::invalid_argument("next states are not positions x states x choices");
  if (start >= states ||
      std::any_of(next.begin(), next.end(), [&](std::uint16_t state) { return state >= states; }))
    throw std::invalid_argument("a next state, or the first, is not one of the states");
  if (std::any_of(limits.begin(), limits.end(),
                  [&](std::uint32_t limit) { return limit == 0 || limit > choices; }))
    throw std::invalid_argument("a position has no choices, or more than its row");
}

void StateWalk::expand(const CodesView& codes, std::span<std::uint16_t> out, std::size_t threads) const {
  if (codes.positions != positions()) throw std::invalid_argument("codes have another number of positions");
  if (out.size() != (positions() + 1) * codes.count)
    throw std::invalid_argument("the output needs positions + 1 numbers per architecture");
  if (threads == 0) throw std::invalid_argument("0 threads; at least 1 is needed");
  in_parallel(codes.count, tile_size(positions()), threads,
              [&](std::size_t first, std::size_t count) { expand_part(codes, out, first, count); });
}

void StateWalk::expand_part(const CodesView& codes, std::span<std::uint16_t> out, std::size_t first,
                            std::size_t count) const {
  TileReader<std::uint16_t> reader(codes, limits_);
  const std::size_t step = tile_size(positions());
  std::vector<std::uint16_t> state(step);
  for (const std::size_t end = first + count; first < end; first += step) {
    const std::size_t size = std::min(step, end - first);
    const TileCodes<std::uint16_t> tile = reader.read(first, size);
    std::fill(state.begin(), state.end(), static_cast<std::uint16_t>(start_));
    for (std::size_t p = 0; p < positions(); ++p) {
      const std::uint16_t* next = next_.data() + p * states_ * choices_;
      const std::uint16_t* chosen = tile.first + static_cast<std::ptrdiff_t>(p) * tile.position_step;
      std::uint16_t* to = out.data() + p * codes.count + first;
      for (std::size_t i = 0; i < size; ++i, chosen += tile.architecture_step) {
        const std::size_t met = state[i] * choices_ + *chosen;
        to[i] = static_cast<std::uint16_t>(met);
        state[i] = next[met];
      }
    }
    std::copy_n(state.begin(), size,
                out.begin() + static_cast<std::ptrdiff_t>(positions() * codes.count + first));
  }
}

}  // namespace lutra::luts
