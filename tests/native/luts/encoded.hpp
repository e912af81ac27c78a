#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "luts/codes.hpp"

namespace lutra::check {

/// Encoded architectures in memory of exactly their size (what reads beyond it is seen by the sanitizers), at
/// any alignment.
class Codes {
 public:
  enum class Order { kByArchitecture, kByPosition };

  template <class Value>
  static Codes of(Value, std::size_t count, std::size_t positions, Order order, std::size_t offset = 0) {
    Codes made;
    made.memory_.assign(offset + count * positions * sizeof(Value), std::byte{0});
    const auto size = static_cast<std::ptrdiff_t>(sizeof(Value));
    const bool rows = order == Order::kByArchitecture;
    made.view_ = {.data = made.memory_.data() + offset,
                  .count = count,
                  .positions = positions,
                  .architecture_step = rows ? size * static_cast<std::ptrdiff_t>(positions) : size,
                  .position_step = rows ? size : size * static_cast<std::ptrdiff_t>(count),
                  .width = sizeof(Value),
                  .is_signed = std::is_signed_v<Value>};
    return made;
  }

  /// Little-endian, as every machine is that these tests run on.
  void set(std::size_t architecture, std::size_t position, std::int64_t code) {
    const auto at = static_cast<std::ptrdiff_t>(architecture) * view_.architecture_step +
                    static_cast<std::ptrdiff_t>(position) * view_.position_step;
    std::memcpy(memory_.data() + (view_.data - memory_.data()) + at, &code, view_.width);
  }

  void fill(const std::vector<std::uint32_t>& limits, std::mt19937_64& random) {
    for (std::size_t i = 0; i < view_.count; ++i)
      for (std::size_t p = 0; p < view_.positions; ++p)
        set(i, p, static_cast<std::int64_t>(random() % limits[p]));
  }

  const luts::CodesView& view() const { return view_; }

 private:
  std::vector<std::byte> memory_;
  luts::CodesView view_;
};

}  // namespace lutra::check
