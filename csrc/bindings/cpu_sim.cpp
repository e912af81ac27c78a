#include <pybind11/numpy.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "cpu_sim/model.hpp"

namespace py = pybind11;
using namespace lutra::cpu_sim;

namespace {

constexpr py::ssize_t kColumns = 8;

/// Rows of numbers as work: kind, flops, activation bytes, weight bytes, depth, outputs, rows, winograd.
std::vector<Work> works_of(const DenseArray<double>& table) {
  if (table.ndim() != 2 || table.shape(1) != kColumns) throw std::invalid_argument("works must be [n, 8]");
  std::vector<Work> works;
  works.reserve(static_cast<std::size_t>(table.shape(0)));
  for (py::ssize_t i = 0; i < table.shape(0); ++i) {
    const double* row = table.data(i, 0);
    if (!(row[0] >= 0 && row[0] <= 3)) throw std::invalid_argument("kind is none of 0 to 3");
    works.push_back({static_cast<Kind>(static_cast<int>(row[0])), row[1], row[2], row[3], row[4], row[5],
                     row[6], row[7] != 0});
  }
  return works;
}

py::tuple estimate_table(const DenseArray<double>& table, const Chip& chip, const Constants& constants) {
  const std::vector<Work> works = works_of(table);
  std::vector<Estimate> estimates;
  {
    const py::gil_scoped_release released;
    estimates = estimate_all(works, chip, constants);
  }
  const auto count = static_cast<py::ssize_t>(estimates.size());
  py::array_t<double> latencies(count);
  py::array_t<std::int64_t> bounds(count);
  for (py::ssize_t i = 0; i < count; ++i) {
    latencies.mutable_at(i) = estimates[static_cast<std::size_t>(i)].latency_ns;
    bounds.mutable_at(i) = static_cast<std::int64_t>(estimates[static_cast<std::size_t>(i)].bound);
  }
  return py::make_tuple(latencies, bounds);
}

}  // namespace

void bind_cpu_sim(py::module_& parent) {
  py::module_ module = parent.def_submodule("cpu_sim", "Analytic model of CPUs.");
  py::class_<Chip>(module, "Chip")
      .def(py::init([](int threads, double ghz, double flops_per_cycle, double lanes, double efficiency,
                       double l2_bytes, double llc_bytes, double dram_gb_s, double core_dram_gb_s,
                       double fork_us, double compute_factor, double memory_factor) {
             return Chip{threads,   ghz,       flops_per_cycle, lanes,   efficiency,     l2_bytes,
                         llc_bytes, dram_gb_s, core_dram_gb_s,  fork_us, compute_factor, memory_factor};
           }),
           py::kw_only(), py::arg("threads"), py::arg("ghz"), py::arg("flops_per_cycle"), py::arg("lanes"),
           py::arg("efficiency"), py::arg("l2_bytes"), py::arg("llc_bytes"), py::arg("dram_gb_s"),
           py::arg("core_dram_gb_s"), py::arg("fork_us"), py::arg("compute_factor") = 1.0,
           py::arg("memory_factor") = 1.0);
  py::class_<Constants>(module, "Constants")
      .def(py::init([](double depthwise, double pool, double pointwise, double depth_half, double rows_half,
                       double winograd, double l2_bytes_per_cycle, double llc_bytes_per_cycle,
                       double dram_share, double op_us) {
             return Constants{depthwise,  pool,     pointwise,          depth_half,
                              rows_half,  winograd, l2_bytes_per_cycle, llc_bytes_per_cycle,
                              dram_share, op_us};
           }),
           py::kw_only(), py::arg("depthwise"), py::arg("pool"), py::arg("pointwise"), py::arg("depth_half"),
           py::arg("rows_half"), py::arg("winograd"), py::arg("l2_bytes_per_cycle"),
           py::arg("llc_bytes_per_cycle"), py::arg("dram_share"), py::arg("op_us"));
  module.def("estimate", &estimate_table, py::arg("works"), py::arg("chip"), py::arg("constants"));
}
