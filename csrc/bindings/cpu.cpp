#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/steps.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/program.hpp"
#include "isa/isa.hpp"

namespace py = pybind11;
using namespace lutra::cpu;

namespace {

using TensorTuple = std::tuple<std::string, Shape, std::string, std::string>;

ProgramSpec spec_of(const std::vector<TensorTuple>& tensors, const std::vector<StepTuple>& steps) {
  ProgramSpec spec;
  for (const auto& [name, shape, dtype, role] : tensors)
    spec.tensors.push_back({name, shape, dtype_named(dtype), role_named(role)});
  spec.steps = steps_of(steps);
  return spec;
}

std::shared_ptr<Program> make_program(const std::vector<TensorTuple>& tensors,
                                      const std::vector<StepTuple>& steps, int64_t copies, uint64_t seed,
                                      const std::optional<std::string>& isa) {
  const ProgramSpec spec = spec_of(tensors, steps);
  const lutra::Isa chosen = isa ? lutra::isa_named(*isa) : lutra::best_isa();
  const py::gil_scoped_release released;
  return std::make_shared<Program>(spec, copies, seed, chosen);
}

/// A dense array of a type that programs know.
struct Content {
  explicit Content(const py::array& given) : array(py::array::ensure(given, py::array::c_style)) {
    shape.assign(array.shape(), array.shape() + array.ndim());
    dtype = dtype_named(py::str(array.dtype()).cast<std::string>());
  }

  py::array array;
  Shape shape;
  DType dtype;
};

py::array array_of(const Program& program, const std::string& name) {
  const Program::View view = program.tensor(name);
  // Without a base object numpy copies, so the array does not change with the next run.
  return py::array(py::dtype(std::string(dtype_name(view.spec->dtype))), view.spec->shape, view.data);
}

}  // namespace

void bind_cpu(py::module_& module) {
  py::class_<Program, lutra::timing::Runnable, std::shared_ptr<Program>>(module, "CpuProgram")
      .def(py::init(&make_program), py::arg("tensors"), py::arg("steps"), py::kw_only(),
           py::arg("copies") = 1, py::arg("seed") = 0, py::arg("isa") = py::none())
      .def("run_reference", &Program::run_reference, py::call_guard<py::gil_scoped_release>())
      .def(
          "set_input",
          [](Program& program, const std::string& name, const py::array& values) {
            const Content content(values);
            program.set_input(name, content.shape, content.dtype, content.array.data());
          },
          py::arg("name"), py::arg("values"))
      .def(
          "set_constant",
          [](Program& program, const std::string& name, const py::array& values) {
            const Content content(values);
            program.set_constant(name, content.shape, content.dtype, content.array.data());
          },
          py::arg("name"), py::arg("values"))
      .def("output", &array_of, py::arg("name"))
      .def_property_readonly("copies", &Program::copies)
      .def_property_readonly("peak_bytes", &Program::peak_bytes)
      .def_property_readonly("activation_bytes", &Program::activation_bytes);
  module.def("supported_ops", &supported_ops);
  module.def("isa_name", [] { return std::string(lutra::isa_name(lutra::best_isa())); });
  module.def("available_isas", [] {
    std::vector<std::string> names;
    for (const lutra::Isa isa : lutra::available_isas()) names.emplace_back(lutra::isa_name(isa));
    return names;
  });
}
