#include "luts/costs.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/arrays.hpp"
#include "luts/bindings/bindings.hpp"
#include "luts/reference.hpp"
#include "luts/states.hpp"

namespace py = pybind11;
using namespace lutra::luts;

namespace {

Reduce reduce_named(const std::string& name) {
  if (name == "sum") return Reduce::kSum;
  if (name == "max") return Reduce::kMax;
  throw py::value_error("unknown reduction '" + name + "'; known: max, sum");
}

/// Of an array [architectures, positions]; it must outlive the view.
CodesView view_of(const py::array& codes) {
  const char kind = codes.dtype().kind();
  if (codes.ndim() != 2 || (kind != 'i' && kind != 'u') || codes.dtype().byteorder() == '>')
    throw py::type_error("codes must be integers of shape [architectures, positions], in native byte order");
  return {.data = static_cast<const std::byte*>(codes.data()),
          .count = static_cast<std::size_t>(codes.shape(0)),
          .positions = static_cast<std::size_t>(codes.shape(1)),
          .architecture_step = codes.strides(0),
          .position_step = codes.strides(1),
          .width = static_cast<std::size_t>(codes.itemsize()),
          .is_signed = kind == 'i'};
}

std::unique_ptr<DenseCosts> make_costs(const DenseArray<float>& costs,
                                       const DenseArray<std::uint32_t>& limits, const std::string& reduce,
                                       const std::optional<std::string>& isa) {
  if (costs.ndim() != 2) throw py::value_error("costs must be of shape [positions, choices]");
  return std::make_unique<DenseCosts>(view(costs), view(limits), static_cast<std::size_t>(costs.shape(1)),
                                      reduce_named(reduce), isa ? lutra::isa_named(*isa) : lutra::best_isa());
}

py::array_t<float> evaluate(const DenseCosts& costs, const py::array& codes, float start,
                            std::size_t threads) {
  const CodesView viewed = view_of(codes);
  py::array_t<float> out(static_cast<py::ssize_t>(viewed.count));
  const std::span<float> written(out.mutable_data(), viewed.count);
  const py::gil_scoped_release released;  // the arguments hold the arrays
  costs.evaluate(viewed, start, written, threads);
  return out;
}

py::array_t<float> evaluate_by_reference(const DenseArray<float>& costs, const py::array& codes, float start,
                                         const std::string& reduce) {
  const CodesView viewed = view_of(codes);
  if (costs.ndim() != 2 || static_cast<std::size_t>(costs.shape(0)) != viewed.positions)
    throw py::value_error("costs must be of shape [positions, choices]");
  const auto choices = static_cast<std::size_t>(costs.shape(1));
  const std::vector<std::uint32_t> limits(viewed.positions, static_cast<std::uint32_t>(choices));
  refuse_misfit(viewed, limits, 0, viewed.count);
  py::array_t<float> out(static_cast<py::ssize_t>(viewed.count));
  reference_evaluate(view(costs), choices, reduce_named(reduce), viewed, start,
                     {out.mutable_data(), viewed.count});
  return out;
}

std::unique_ptr<StateWalk> make_walk(const DenseArray<std::uint16_t>& next,
                                     const DenseArray<std::uint32_t>& limits, std::size_t start) {
  if (next.ndim() != 3) throw py::value_error("next states must be of shape [positions, states, choices]");
  return std::make_unique<StateWalk>(view(next), view(limits), static_cast<std::size_t>(next.shape(1)),
                                     static_cast<std::size_t>(next.shape(2)), start);
}

/// In the order in memory that `DenseCosts` reads without strides: [positions + 1, architectures],
/// transposed.
py::array expand(const StateWalk& walk, const py::array& codes, std::size_t threads) {
  const CodesView viewed = view_of(codes);
  const std::size_t columns = walk.positions() + 1;
  py::array_t<std::uint16_t> out({columns, viewed.count});
  const std::span<std::uint16_t> written(out.mutable_data(), columns * viewed.count);
  {
    const py::gil_scoped_release released;
    walk.expand(viewed, written, threads);
  }
  return out.attr("T");
}

}  // namespace

void bind_costs(py::module_& module) {
  py::class_<DenseCosts>(module, "DenseCosts")
      .def(py::init(&make_costs), py::arg("costs"), py::arg("limits"), py::kw_only(),
           py::arg("reduce") = "sum", py::arg("isa") = py::none())
      .def("evaluate", &evaluate, py::arg("codes"), py::kw_only(), py::arg("start") = 0.0F,
           py::arg("threads") = 1);
  py::class_<StateWalk>(module, "StateWalk")
      .def(py::init(&make_walk), py::arg("transitions"), py::arg("limits"), py::kw_only(), py::arg("start"))
      .def("expand", &expand, py::arg("codes"), py::kw_only(), py::arg("threads") = 1);
  module.def("reference_evaluate", &evaluate_by_reference, py::arg("costs"), py::arg("codes"), py::kw_only(),
             py::arg("start") = 0.0F, py::arg("reduce") = "sum");
}
