#include "luts/index.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/arrays.hpp"
#include "luts/bindings/bindings.hpp"

namespace py = pybind11;
using namespace lutra::luts;

namespace {

using PackedKeys = DenseArray<std::uint8_t>;

std::span<const std::byte> bytes_of(const PackedKeys& keys) {
  if (keys.ndim() != 2 || keys.shape(1) != static_cast<py::ssize_t>(kKeyBytes))
    throw py::value_error("packed keys must be bytes of shape [keys, 16]");
  return std::as_bytes(view(keys));
}

Key key_of(std::string_view text) {
  const std::optional<Key> key = parse_key(text);
  if (!key) throw py::value_error("'" + std::string(text) + "' is not a key of 32 hex digits");
  return *key;
}

PackedKeys pack_keys(const py::sequence& texts) {
  const std::size_t count = py::len(texts);
  PackedKeys packed({count, kKeyBytes});
  std::uint8_t* to = packed.mutable_data();
  for (const py::handle text : texts) {
    const Key key = key_of(text.cast<std::string_view>());
    for (std::size_t i = 0; i < kKeyBytes; ++i)
      *to++ = static_cast<std::uint8_t>((i < 8 ? key.high : key.low) >> (56 - 8 * (i % 8)));
  }
  return packed;
}

std::unique_ptr<QueryIndex> make_index(const PackedKeys& packed, const DenseArray<double>& latency_ns,
                                       const DenseArray<float>& rel_halfwidth,
                                       const DenseArray<std::uint16_t>& flags) {
  const std::span<const std::byte> bytes = bytes_of(packed);
  const std::size_t count = bytes.size() / kKeyBytes;
  const std::span<const double> latencies = view(latency_ns);
  const std::span<const float> halfwidths = view(rel_halfwidth);
  const std::span<const std::uint16_t> flag_bits = view(flags);
  if (latencies.size() != count || halfwidths.size() != count || flag_bits.size() != count)
    throw py::value_error("an index needs a latency, a half-width and flags for each key");
  const py::gil_scoped_release released;
  std::vector<Key> keys(count);
  std::vector<Row> rows(count);
  for (std::size_t i = 0; i < count; ++i) {
    keys[i] = unpack_key(bytes.data() + i * kKeyBytes);
    rows[i] = {latencies[i], halfwidths[i], flag_bits[i]};
  }
  return std::make_unique<QueryIndex>(keys, rows);
}

std::optional<double> latency_of(const QueryIndex& index, std::string_view key) {
  const std::optional<Row> row = index.find(key_of(key));
  return row ? std::optional<double>(row->latency_ns) : std::nullopt;
}

std::optional<std::tuple<double, float, int>> row_of(const QueryIndex& index, std::string_view key) {
  const std::optional<Row> row = index.find(key_of(key));
  if (!row) return std::nullopt;
  return std::tuple(row->latency_ns, row->rel_halfwidth, int{row->flags});
}

py::tuple lookup(const QueryIndex& index, const PackedKeys& packed) {
  const std::span<const std::byte> keys = bytes_of(packed);
  const std::size_t count = keys.size() / kKeyBytes;
  const auto length = static_cast<py::ssize_t>(count);
  py::array_t<double> latency_ns(length);
  py::array_t<float> rel_halfwidth(length);
  py::array_t<std::uint16_t> flags(length);
  py::array_t<bool> found(length);
  const std::span<double> latencies(latency_ns.mutable_data(), count);
  const std::span<float> halfwidths(rel_halfwidth.mutable_data(), count);
  const std::span<std::uint16_t> flag_bits(flags.mutable_data(), count);
  const std::span<bool> hits(found.mutable_data(), count);
  {
    const py::gil_scoped_release released;
    index.lookup(keys, latencies, halfwidths, flag_bits, hits);
  }
  return py::make_tuple(latency_ns, rel_halfwidth, flags, found);
}

py::array_t<double> sums(const QueryIndex& index, const PackedKeys& packed,
                         const DenseArray<std::int64_t>& offsets) {
  const std::span<const std::byte> keys = bytes_of(packed);
  if (offsets.ndim() != 1 || offsets.size() == 0)
    throw py::value_error("offsets must be of shape [networks + 1]");
  const std::span<const std::int64_t> bounds = view(offsets);
  py::array_t<double> out(offsets.size() - 1);
  const std::span<double> written(out.mutable_data(), bounds.size() - 1);
  const py::gil_scoped_release released;
  index.sums(keys, bounds, written);
  return out;
}

}  // namespace

void bind_index(py::module_& module) {
  module.def("pack_keys", &pack_keys, py::arg("keys"));
  py::class_<QueryIndex>(module, "QueryIndex")
      .def(py::init(&make_index), py::arg("keys"), py::arg("latency_ns"), py::arg("rel_halfwidth"),
           py::arg("flags"))
      .def("get", &latency_of, py::arg("key"), py::pos_only())
      .def("row", &row_of, py::arg("key"), py::pos_only())
      .def("lookup", &lookup, py::arg("keys"))
      .def("sums", &sums, py::arg("keys"), py::arg("offsets"))
      .def("__len__", &QueryIndex::size)
      .def_property_readonly("nbytes", &QueryIndex::nbytes);
}
