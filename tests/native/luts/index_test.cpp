#include "luts/index.hpp"

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "luts/key.hpp"

using namespace lutra::luts;

namespace {

std::vector<std::byte> packed(const std::vector<Key>& keys) {
  std::vector<std::byte> bytes;
  for (const Key& key : keys)
    for (std::size_t i = 0; i < kKeyBytes; ++i)
      bytes.push_back(static_cast<std::byte>((i < 8 ? key.high : key.low) >> (56 - 8 * (i % 8)) & 0xff));
  return bytes;
}

Row row_of(std::size_t i) {
  return {static_cast<double>(i) + 0.5, static_cast<float>(i), static_cast<std::uint16_t>(i % 7)};
}

/// Digests, and keys as badly spread as they can be: only a few bits of either half differ.
std::vector<Key> keys_of(std::size_t count, int spread, std::mt19937_64& random) {
  std::vector<Key> keys;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (spread == 0) keys.push_back({random(), random()});
    if (spread == 1) keys.push_back({0, i});
    if (spread == 2) keys.push_back({i << 52, 7});
    if (spread == 3) keys.push_back({i, i << 32});  // all have one home
  }
  return keys;
}

void every_row_is_found_and_nothing_else() {
  std::mt19937_64 random(1);
  for (const std::size_t count : {0, 1, 8, 9, 1000})
    for (int spread = 0; spread < 4; ++spread) {
      const std::vector<Key> keys = keys_of(count, spread, random);
      std::vector<Row> rows;
      for (std::size_t i = 0; i < count; ++i) rows.push_back(row_of(i));
      const QueryIndex index(keys, rows);
      CHECK(index.size() == count && index.nbytes() >= 64 * count);
      std::vector<Key> asked = keys;
      for (std::size_t i = 0; i < 20; ++i) asked.push_back({~random(), 1 + i});
      const std::size_t n = asked.size();
      std::vector<double> latency(n);
      std::vector<float> halfwidth(n);
      std::vector<std::uint16_t> flags(n);
      const std::unique_ptr<bool[]> found(new bool[n]);
      index.lookup(packed(asked), latency, halfwidth, flags, {found.get(), n});
      for (std::size_t i = 0; i < n; ++i) {
        const std::optional<Row> one = index.find(asked[i]);
        const bool there = i < count;
        CHECK(found[i] == there && one.has_value() == there);
        if (there)
          CHECK(latency[i] == rows[i].latency_ns && halfwidth[i] == rows[i].rel_halfwidth &&
                flags[i] == rows[i].flags && one->latency_ns == latency[i] && one->flags == flags[i]);
        else
          CHECK(std::isnan(latency[i]) && std::isnan(halfwidth[i]) && flags[i] == 0);
      }
    }
}

void sums_are_by_network() {
  const std::vector<Key> keys = {{1, 1}, {2, 2}, {3, 3}};
  const std::vector<Row> rows = {row_of(1), row_of(2), row_of(3)};
  const QueryIndex index(keys, rows);
  const std::vector<std::byte> asked = packed({{1, 1}, {2, 2}, {1, 1}, {9, 9}, {3, 3}});
  const std::vector<std::int64_t> offsets = {0, 0, 3, 4, 5, 5};
  std::vector<double> out(5);
  index.sums(asked, offsets, out);
  CHECK(out[0] == 0.0 && out[1] == 5.5 && std::isnan(out[2]) && out[3] == 3.5 && out[4] == 0.0);
  using Offsets = std::vector<std::int64_t>;
  for (const Offsets& wrong :
       {Offsets{0, 3, 2, 4, 5, 5}, Offsets{1, 1, 3, 4, 5, 5}, Offsets{0, 0, 3, 4, 5, 6}})
    CHECK_THROWS(std::invalid_argument, index.sums(asked, wrong, out));
  CHECK_THROWS(std::invalid_argument, index.sums(asked, Offsets{0, 5}, out));
}

void two_rows_of_one_key_are_refused() {
  const std::vector<Key> keys = {{1, 1}, {0xabc, 2}, {0xabc, 2}};
  const std::vector<Row> rows(3);
  std::string message;
  try {
    const QueryIndex index(keys, rows);
  } catch (const DuplicateKeyError& error) {
    message = error.what();
  }
  CHECK(message == "two rows have the key 0000000000000abc0000000000000002");
  CHECK_THROWS(std::invalid_argument, QueryIndex(keys, std::vector<Row>(2)));
}

void keys_are_read_as_written() {
  std::mt19937_64 random(3);
  for (int i = 0; i < 100; ++i) {
    const Key key{random(), random()};
    CHECK(parse_key(format_key(key)) == key);
    CHECK(unpack_key(packed({key}).data()) == key);
  }
  CHECK(parse_key("000000000000000A000000000000000f") == (Key{10, 15}));
  for (const char* wrong : {"", "12", "000000000000000000000000000000000", "0000000000000000000000000000000g",
                            "-0000000000000000000000000000000", "000000000000000 0000000000000000"})
    CHECK(!parse_key(wrong));
}

}  // namespace

int main() {
  every_row_is_found_and_nothing_else();
  sums_are_by_network();
  two_rows_of_one_key_are_refused();
  keys_are_read_as_written();
  return lutra::check::finish();
}
