#include "gpu_sim/model.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;
using namespace lutra::gpu_sim;

namespace {

constexpr py::ssize_t kColumns = 2 + static_cast<py::ssize_t>(std::tuple_size_v<decltype(Op::size)>);

py::object entry(const py::dict& dict, const std::string& where, const char* key) {
  if (!dict.contains(key)) throw std::invalid_argument(where + ": '" + key + "' is missing");
  return dict[key];
}

double number(const py::dict& dict, const std::string& where, const char* key) {
  try {
    return entry(dict, where, key).cast<double>();
  } catch (const py::cast_error&) {
    throw std::invalid_argument(where + "." + key + " must be a number");
  }
}

/// A struct of numbers from a dict of their names. Other keys are the caller's own.
template <class Constants>
Constants numbers(const py::dict& dict, const std::string& where) {
  Constants constants;
  for (const auto& [name, member] : Constants::names()) constants.*member = number(dict, where, name);
  return constants;
}

Tree tree_of(const py::dict& dict, const std::string& where) {
  Tree tree;
  tree.capability = number(dict, where, "capability");
  tree.feature = entry(dict, where, "feature").cast<std::vector<std::int32_t>>();
  tree.threshold = entry(dict, where, "threshold").cast<std::vector<double>>();
  tree.left = entry(dict, where, "left").cast<std::vector<std::int32_t>>();
  tree.right = entry(dict, where, "right").cast<std::vector<std::int32_t>>();
  tree.tile = entry(dict, where, "tile").cast<std::vector<std::int32_t>>();
  return tree;
}

std::vector<Tile> tiles_of(const py::dict& dict, const std::string& where, const char* key) {
  std::vector<Tile> tiles;
  for (const py::handle tile : entry(dict, where, key).cast<py::list>())
    tiles.push_back(numbers<Tile>(tile.cast<py::dict>(), where + "." + key));
  return tiles;
}

ProductConstants product_constants(const py::dict& dict, const std::string& where) {
  auto constants = numbers<ProductConstants>(dict, where);
  constants.host = numbers<Host>(entry(dict, where, "host").cast<py::dict>(), where + ".host");
  constants.power = numbers<Power>(entry(dict, where, "power").cast<py::dict>(), where + ".power");
  constants.tiles = tiles_of(dict, where, "tiles");
  for (const py::handle tree : entry(dict, where, "trees").cast<py::list>())
    constants.selection.trees.push_back(tree_of(tree.cast<py::dict>(), where + ".trees"));
  return constants;
}

ConvConstants conv_constants(const py::dict& dict, const std::string& where) {
  auto constants = numbers<ConvConstants>(dict, where);
  constants.product = product_constants(entry(dict, where, "product").cast<py::dict>(), where + ".product");
  constants.winograd_tiles = tiles_of(dict, where, "winograd_tiles");
  return constants;
}

template <class Constants>
Constants with_host(const py::dict& dict, const std::string& where) {
  auto constants = numbers<Constants>(dict, where);
  constants.host = numbers<Host>(entry(dict, where, "host").cast<py::dict>(), where + ".host");
  return constants;
}

Constants constants_of(const py::dict& dict) {
  const auto part = [&dict](const char* name) { return entry(dict, "constants", name).cast<py::dict>(); };
  Constants constants;
  constants.gemm = {product_constants(part("gemm.simt"), "gemm.simt"),
                    product_constants(part("gemm.tensor"), "gemm.tensor")};
  constants.linear = {product_constants(part("linear.simt"), "linear.simt"),
                      product_constants(part("linear.tensor"), "linear.tensor")};
  constants.conv = {conv_constants(part("conv.simt"), "conv.simt"),
                    conv_constants(part("conv.tensor"), "conv.tensor")};
  constants.elementwise = with_host<StreamConstants>(part("elementwise"), "elementwise");
  constants.pooling = with_host<StreamConstants>(part("pooling"), "pooling");
  constants.movement = with_host<StreamConstants>(part("movement"), "movement");
  constants.softmax = with_host<RowConstants>(part("softmax"), "softmax");
  constants.norm = with_host<RowConstants>(part("norm"), "norm");
  return constants;
}

Device device_of(const py::dict& dict) {
  const std::string where = "device";
  Device device;
  device.sm_count = number(dict, where, "sm_count");
  device.clock_ghz = number(dict, where, "clock_ghz");
  device.bandwidth = number(dict, where, "bandwidth");
  device.l2_bytes = number(dict, where, "l2_bytes");
  device.l2_partitions = number(dict, where, "l2_partitions");
  device.tdp_w = number(dict, where, "tdp_w");
  device.node_nm = number(dict, where, "node_nm");
  device.threads_per_sm = number(dict, where, "threads_per_sm");
  device.launch_ns = number(dict, where, "launch_ns");
  device.capability = number(dict, where, "capability");
  device.shared_issue = entry(dict, where, "shared_issue").cast<bool>();
  device.peak = entry(dict, where, "peak").cast<std::array<double, kDtypes>>();
  return device;
}

std::vector<Op> ops_of(const DenseArray<std::int64_t>& rows) {
  if (rows.ndim() != 2 || rows.shape(1) != kColumns)
    throw std::invalid_argument("ops must have the shape [n, " + std::to_string(kColumns) + "]");
  const auto view = rows.unchecked<2>();
  std::vector<Op> ops(static_cast<std::size_t>(rows.shape(0)));
  for (py::ssize_t i = 0; i < rows.shape(0); ++i) {
    Op& op = ops[static_cast<std::size_t>(i)];
    op.kind = static_cast<Kind>(view(i, 0));
    op.dtype = static_cast<Dtype>(view(i, 1));
    for (py::ssize_t j = 2; j < kColumns; ++j) op.size[static_cast<std::size_t>(j - 2)] = view(i, j);
  }
  return ops;
}

py::tuple estimate(const Model& model, const DenseArray<std::int64_t>& rows) {
  const std::vector<Op> ops = ops_of(rows);
  std::vector<Answer> answers(ops.size());
  {
    const py::gil_scoped_release released;
    model.estimate(ops, answers);
  }
  py::array_t<double> latency(static_cast<py::ssize_t>(ops.size()));
  py::array_t<std::uint8_t> bound(static_cast<py::ssize_t>(ops.size()));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    latency.mutable_data()[i] = answers[i].latency_ns;
    bound.mutable_data()[i] = static_cast<std::uint8_t>(answers[i].bound);
  }
  return py::make_tuple(latency, bound);
}

}  // namespace

void bind_gpu_sim(py::module_& parent) {
  py::module_ module = parent.def_submodule("gpu_sim", "Simulated GPUs (csrc/gpu_sim).");
  py::class_<Model>(module, "Model")
      .def(py::init([](const py::dict& device, const py::dict& constants) {
             return Model(device_of(device), constants_of(constants));
           }),
           py::arg("device"), py::arg("constants"))
      .def("estimate", &estimate, py::arg("ops"), py::pos_only());
}
