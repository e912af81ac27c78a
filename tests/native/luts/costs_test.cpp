#include "luts/costs.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "encoded.hpp"
#include "luts/reference.hpp"

using namespace lutra::luts;
using lutra::Isa;
using lutra::check::Codes;
using Order = Codes::Order;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_costs(std::size_t count, std::mt19937_64& random) {
  std::vector<float> costs(count);
  for (float& cost : costs) cost = static_cast<float>(random() % 1000003) / 7.0F;
  return costs;
}

std::vector<std::uint32_t> random_limits(std::size_t positions, std::size_t choices,
                                         std::mt19937_64& random) {
  std::vector<std::uint32_t> limits(positions);
  for (std::uint32_t& limit : limits) limit = static_cast<std::uint32_t>(1 + random() % choices);
  return limits;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]) &&
        !(std::isnan(a[i]) && std::isnan(b[i])))
      return false;
  return a.size() == b.size();
}

template <class Value>
void compare(std::size_t count, std::size_t positions, std::size_t choices, Order order,
             std::mt19937_64& random) {
  const std::vector<std::uint32_t> limits = random_limits(positions, choices, random);
  std::vector<float> costs = random_costs(positions * choices, random);
  Codes codes = Codes::of(Value{}, count, positions, order, random() % 8);
  codes.fill(limits, random);
  for (const Reduce reduce : {Reduce::kMax, Reduce::kSum}) {
    if (reduce == Reduce::kSum && !costs.empty()) costs[random() % costs.size()] = kNan;
    std::vector<float> expected(count);
    reference_evaluate(costs, choices, reduce, codes.view(), 5.5F, expected);
    for (const Isa isa : lutra::available_isas())
      for (const std::size_t threads : {1, 3}) {
        const DenseCosts dense(costs, limits, choices, reduce, isa);
        std::vector<float> out(count, -1.0F);
        dense.evaluate(codes.view(), 5.5F, out, threads);
        CHECK(same_bits(out, expected));
      }
  }
}

/// Sizes around the widths of vectors and tiles, and choices around what a register holds.
void all_kernels_give_the_bits_of_the_reference() {
  std::mt19937_64 random(1);
  for (const std::size_t choices : {1, 2, 7, 8, 9, 16, 17, 32, 33, 64, 65, 128})
    for (const std::size_t count : {0, 1, 7, 8, 31, 33, 64, 1025})
      for (const Order order : {Order::kByArchitecture, Order::kByPosition}) {
        compare<std::uint8_t>(count, 1 + random() % 25, choices, order, random);
        compare<std::int8_t>(count, 1 + random() % 5, choices, order, random);
      }
  for (const std::size_t choices : {3, 200, 256, 257, 300})
    for (const std::size_t count : {1, 63, 130}) {
      compare<std::int16_t>(count, 3, choices, Order::kByPosition, random);
      compare<std::uint32_t>(count, 7, choices, Order::kByArchitecture, random);
      compare<std::int64_t>(count, 20, choices, Order::kByArchitecture, random);
      compare<std::uint64_t>(count, 20, choices, Order::kByPosition, random);
    }
  for (const Order order : {Order::kByArchitecture, Order::kByPosition})  // several tiles
    for (const std::size_t choices : {8, 64}) compare<std::uint8_t>(9001, 3, choices, order, random);
  compare<std::uint8_t>(100, 0, 4, Order::kByPosition, random);
  compare<std::uint8_t>(70, 700, 4, Order::kByPosition, random);  // tiles are not smaller than a few vectors
}

std::string refusal(const DenseCosts& costs, const CodesView& codes, std::size_t threads) {
  std::vector<float> out(codes.count);
  try {
    costs.evaluate(codes, 0.0F, out, threads);
  } catch (const CodeError& error) {
    return error.what();
  }
  return "";
}

template <class Value>
void refuse(std::int64_t wrong, std::size_t choices, const std::string& expected) {
  std::mt19937_64 random(2);
  const std::vector<std::uint32_t> limits(6, static_cast<std::uint32_t>(choices));
  const std::vector<float> costs(6 * choices, 1.0F);
  for (const Order order : {Order::kByArchitecture, Order::kByPosition})
    for (const Isa isa : lutra::available_isas()) {
      Codes codes = Codes::of(Value{}, 5000, 6, order);
      codes.fill(std::vector<std::uint32_t>(6, 8), random);  // low enough for any type
      const DenseCosts dense(costs, limits, choices, Reduce::kSum, isa);
      CHECK(refusal(dense, codes.view(), 2).empty());
      codes.set(4999, 0, wrong);
      codes.set(3001, 4, wrong);
      codes.set(3001, 5, wrong);
      for (const std::size_t threads : {1, 2, 7}) CHECK(refusal(dense, codes.view(), threads) == expected);
    }
}

void the_first_misfit_is_named() {
  refuse<std::uint8_t>(9, 9, "architecture 3001 has choice 9 at position 4, which has 9");
  refuse<std::uint8_t>(255, 200, "architecture 3001 has choice 255 at position 4, which has 200");
  refuse<std::int8_t>(-1, 256, "architecture 3001 has choice -1 at position 4, which has 256");
  refuse<std::int16_t>(-1, 300, "architecture 3001 has choice -1 at position 4, which has 300");
  refuse<std::int32_t>(65536, 300, "architecture 3001 has choice 65536 at position 4, which has 300");
  refuse<std::int64_t>(std::int64_t{1} << 32, 8,
                       "architecture 3001 has choice 4294967296 at position 4, which has 8");
  refuse<std::uint64_t>(-1, 8, "architecture 3001 has choice 9223372036854775807 at position 4, which has 8");
}

void columns_may_lie_backwards() {
  const std::vector<float> costs = {1.0F, 2.0F, 10.0F, 20.0F};
  const std::vector<std::uint32_t> limits = {2, 2};
  const std::vector<std::uint8_t> memory = {1, 1, 0, 0, 1, 0};  // the second position first
  const CodesView codes{.data = reinterpret_cast<const std::byte*>(memory.data() + 3),
                        .count = 3,
                        .positions = 2,
                        .architecture_step = 1,
                        .position_step = -3};
  std::vector<float> out(3);
  DenseCosts(costs, limits, 2).evaluate(codes, 0.0F, out);
  CHECK((out == std::vector<float>{21.0F, 22.0F, 11.0F}));
}

void what_does_not_fit_is_refused() {
  const std::vector<float> costs(6, 1.0F);
  const std::vector<std::uint32_t> limits = {3, 2};
  const std::vector<std::uint32_t> none = {3, 0};
  const std::vector<std::uint32_t> more = {4, 3};
  CHECK_THROWS(std::invalid_argument, DenseCosts(costs, limits, 2));
  CHECK_THROWS(std::invalid_argument, DenseCosts(costs, none, 3));
  CHECK_THROWS(std::invalid_argument, DenseCosts(costs, more, 3));
  CHECK_THROWS(std::invalid_argument, DenseCosts({}, {}, 0));
  CHECK_THROWS(std::invalid_argument, DenseCosts({}, {}, 65537));
  const std::vector<float> unknown = {1.0F, kNan, 1.0F,
                                      1.0F, 1.0F, kNan};  // the last is in no position's row
  CHECK_THROWS(std::invalid_argument, DenseCosts(unknown, limits, 3, Reduce::kMax));
  const DenseCosts dense(costs, limits, 3);
  const Codes codes = Codes::of(std::uint8_t{}, 4, 2, Order::kByPosition);
  const Codes wide = Codes::of(std::uint8_t{}, 4, 3, Order::kByPosition);
  std::vector<float> out(4);
  CHECK_THROWS(std::invalid_argument, dense.evaluate(wide.view(), 0.0F, out));
  CHECK_THROWS(std::invalid_argument, dense.evaluate(codes.view(), 0.0F, out, 0));
  CHECK_THROWS(std::invalid_argument, dense.evaluate(codes.view(), 0.0F, std::span(out).first(3)));
}

}  // namespace

int main() {
  all_kernels_give_the_bits_of_the_reference();
  the_first_misfit_is_named();
  columns_may_lie_backwards();
  what_does_not_fit_is_refused();
  return lutra::check::finish();
}
