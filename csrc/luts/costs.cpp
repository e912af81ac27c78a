#include "luts/costs.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "luts/parallel.hpp"
#include "luts/tiles.hpp"

namespace lutra::luts {

namespace {

constexpr std::size_t kMaxByteChoices = 256;
constexpr std::size_t kMaxChoices = 65536;

void check_sizes(std::span<const float> costs, std::span<const std::uint32_t> limits, std::size_t choices) {
  if (choices == 0 || choices > kMaxChoices)
    throw std::invalid_argument(std::to_string(choices) + " choices; there can be 1 to " +
                                std::to_string(kMaxChoices));
  if (costs.size() != limits.size() * choices)
    throw std::invalid_argument("costs are not positions x choices");
  for (std::size_t p = 0; p < limits.size(); ++p)
    if (limits[p] == 0 || limits[p] > choices)
      throw std::invalid_argument("position " + std::to_string(p) + " has " + std::to_string(limits[p]) +
                                  " choices, of " + std::to_string(choices) + " in its row");
}

void check_maximum(std::span<const float> costs) {
  if (std::any_of(costs.begin(), costs.end(), [](float cost) { return std::isnan(cost); }))
    throw std::invalid_argument("a cost is NaN, and there is no maximum with it");
}

}  // namespace

DenseCosts::DenseCosts(std::span<const float> costs, std::span<const std::uint32_t> limits,
                       std::size_t choices, Reduce reduce, Isa isa)
    : limits_(limits.begin(), limits.end()),
      choices_(choices),
      reduce_(reduce),
      kernels_(&sum_kernels(isa)),
      row_stride_(choices <= kMaxByteChoices ? kByteRow : choices) {
  check_sizes(costs, limits, choices);
  rows_.resize(positions() * row_stride_);
  for (std::size_t p = 0; p < positions(); ++p) {
    const std::span<const float> row = costs.subspan(p * choices, limits[p]);
    if (reduce == Reduce::kMax) check_maximum(row);
    std::copy(row.begin(), row.end(), rows_.begin() + static_cast<std::ptrdiff_t>(p * row_stride_));
  }
}

void DenseCosts::evaluate(const CodesView& codes, float start, std::span<float> out,
                          std::size_t threads) const {
  if (codes.positions != positions())
    throw std::invalid_argument("codes have " + std::to_string(codes.positions) + " positions, the costs " +
                                std::to_string(positions()));
  if (out.size() != codes.count) throw std::invalid_argument("the output needs one number per architecture");
  if (threads == 0) throw std::invalid_argument("0 threads; at least 1 is needed");
  in_parallel(codes.count, tile_size(positions()), threads, [&](std::size_t first, std::size_t count) {
    if (choices_ <= kMaxByteChoices)
      evaluate_part<std::uint8_t>(codes, start, out, first, count);
    else
      evaluate_part<std::uint16_t>(codes, start, out, first, count);
  });
}

template <class Code>
void DenseCosts::evaluate_part(const CodesView& codes, float start, std::span<float> out, std::size_t first,
                               std::size_t count) const {
  TileReader<Code> reader(codes, limits_);
  const std::size_t step = tile_size(positions());
  for (const std::size_t end = first + count; first < end; first += step) {
    const std::size_t size = std::min(step, end - first);
    run(Tile<Code>{rows_.data(), row_stride_, choices_, reader.read(first, size), positions(), size, start,
                   out.data() + first});
  }
}

}  // namespace lutra::luts
