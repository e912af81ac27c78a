#include "luts/states.hpp"

#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "encoded.hpp"

using namespace lutra::luts;
using lutra::check::Codes;
using Order = Codes::Order;

namespace {

void walks_are_those_of_the_definition() {
  std::mt19937_64 random(1);
  for (const std::size_t count : {0, 1, 65, 1500})
    for (const std::size_t states : {1, 2, 5}) {
      const std::size_t positions = 1 + random() % 6;
      const std::size_t choices = 1 + random() % 70;
      std::vector<std::uint16_t> next(positions * states * choices);
      for (std::uint16_t& state : next) state = static_cast<std::uint16_t>(random() % states);
      const std::vector<std::uint32_t> limits(positions, static_cast<std::uint32_t>(choices));
      Codes codes = Codes::of(std::int32_t{}, count, positions, Order::kByArchitecture);
      codes.fill(limits, random);
      const std::size_t start = random() % states;
      std::vector<std::uint16_t> out((positions + 1) * count);
      StateWalk(next, limits, states, choices, start).expand(codes.view(), out, 2);
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t state = start;
        for (std::size_t p = 0; p < positions; ++p) {
          const std::size_t met = state * choices + static_cast<std::size_t>(codes.view().at(i, p));
          CHECK(out[p * count + i] == met);
          state = next[p * states * choices + met];
        }
        CHECK(out[positions * count + i] == state);
      }
    }
}

void what_does_not_fit_is_refused() {
  const std::vector<std::uint16_t> next = {0, 1, 1, 0};  // one position, two states, two choices
  const std::vector<std::uint32_t> limits = {2};
  const std::vector<std::uint32_t> none = {0};
  const std::vector<std::uint16_t> beyond = {0, 1, 2, 0};
  CHECK_THROWS(std::invalid_argument, StateWalk(next, limits, 2, 1, 0));
  CHECK_THROWS(std::invalid_argument, StateWalk(next, limits, 2, 2, 2));
  CHECK_THROWS(std::invalid_argument, StateWalk(next, none, 2, 2, 0));
  CHECK_THROWS(std::invalid_argument, StateWalk(beyond, limits, 2, 2, 0));
  CHECK_THROWS(std::invalid_argument, StateWalk({}, {}, 300, 300, 0));
  CHECK_THROWS(std::invalid_argument, StateWalk({}, {}, 0, 1, 0));
  const StateWalk walk(next, limits, 2, 2, 0);
  Codes codes = Codes::of(std::uint8_t{}, 3, 1, Order::kByPosition);
  std::vector<std::uint16_t> out(6);
  CHECK_THROWS(std::invalid_argument, walk.expand(codes.view(), std::span(out).first(5)));
  CHECK_THROWS(std::invalid_argument, walk.expand(codes.view(), out, 0));
  codes.set(2, 0, 2);
  CHECK_THROWS(CodeError, walk.expand(codes.view(), out));
}

}  // namespace

int main() {
  walks_are_those_of_the_definition();
  what_does_not_fit_is_refused();
  return lutra::check::finish();
}
