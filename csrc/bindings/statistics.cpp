#include "timing/statistics.hpp"

#include <pybind11/numpy.h>

#include <cstdint>
#include <span>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "timing/bootstrap.hpp"

namespace py = pybind11;
using namespace lutra::timing;

void bind_statistics(py::module_& module) {
  using Values = DenseArray<double>;
  using Rounds = DenseArray<std::int64_t>;

  py::class_<TukeyCounts>(module, "TukeyCounts")
      .def_readonly("low_severe", &TukeyCounts::low_severe)
      .def_readonly("low_mild", &TukeyCounts::low_mild)
      .def_readonly("inside", &TukeyCounts::inside)
      .def_readonly("high_mild", &TukeyCounts::high_mild)
      .def_readonly("high_severe", &TukeyCounts::high_severe);

  py::class_<Summary>(module, "Summary")
      .def_readonly("count", &Summary::count)
      .def_readonly("min", &Summary::min)
      .def_readonly("p10", &Summary::p10)
      .def_readonly("p25", &Summary::p25)
      .def_readonly("median", &Summary::median)
      .def_readonly("p75", &Summary::p75)
      .def_readonly("p90", &Summary::p90)
      .def_readonly("max", &Summary::max)
      .def_readonly("mean", &Summary::mean)
      .def_readonly("iqr", &Summary::iqr)
      .def_readonly("mdape", &Summary::mdape)
      .def_readonly("outliers", &Summary::outliers);

  py::class_<Interval>(module, "Interval")
      .def_readonly("estimate", &Interval::estimate)
      .def_readonly("low", &Interval::low)
      .def_readonly("high", &Interval::high)
      .def_property_readonly("relative_halfwidth", &Interval::relative_halfwidth);

  module.def(
      "quantile", [](const Values& values, double q) { return quantile(view(values), q); }, py::arg("values"),
      py::arg("q"));
  module.def("mdape", [](const Values& values) { return mdape(view(values)); }, py::arg("values"));
  module.def("summarize", [](const Values& values) { return summarize(view(values)); }, py::arg("values"));
  module.def(
      "bootstrap_interval",
      [](const Values& values, const Rounds& rounds, double q, double confidence, int resamples,
         std::uint64_t seed) {
        const py::gil_scoped_release released;  // the arrays are held by the arguments
        return bootstrap_interval(view(values), view(rounds),
                                  {.q = q, .confidence = confidence, .resamples = resamples, .seed = seed});
      },
      py::arg("values"), py::arg("rounds"), py::kw_only(), py::arg("q") = 0.25, py::arg("confidence") = 0.95,
      py::arg("resamples") = 1000, py::arg("seed") = 0);
}
