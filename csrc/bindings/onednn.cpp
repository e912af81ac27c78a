#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/steps.hpp"
#include "onednn/environment.hpp"
#include "onednn/library.hpp"
#include "onednn/program.hpp"

namespace py = pybind11;
using namespace lutra::onednn;

namespace {

using TensorTuple = std::tuple<std::string, Shape, std::string, std::string>;

std::shared_ptr<Program> make_program(std::shared_ptr<const Environment> environment,
                                      const std::vector<TensorTuple>& given,
                                      const std::vector<StepTuple>& steps, std::int64_t copies,
                                      std::uint64_t seed) {
  std::vector<TensorSpec> tensors;
  for (const auto& [name, shape, layout, role] : given)
    tensors.push_back({name, shape, layout_named(layout), lutra::cpu::role_named(role)});
  const std::vector<StepSpec> specs = steps_of(steps);
  const py::gil_scoped_release released;
  return std::make_shared<Program>(std::move(environment), std::move(tensors), specs, copies, seed);
}

Shape shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

py::array_t<float> array_of(const Program& program, const std::string& name) {
  const Program::Content content = program.output(name);
  return py::array_t<float>(content.shape, content.values.data());
}

}  // namespace

void bind_onednn(py::module_& module) {
  py::class_<Library, std::shared_ptr<Library>>(module, "OneDnnLibrary")
      .def(py::init<const std::string&>(), py::arg("path"))
      .def_property_readonly("path", &Library::path)
      .def_property_readonly("version", &Library::version);

  // A program owns a share of its environment, and that of its library: no order of deletion is wrong.
  py::class_<Program, lutra::timing::Runnable, std::shared_ptr<Program>>(module, "OneDnnProgram")
      .def(
          "set_input",
          [](Program& program, const std::string& name, const DenseArray<float>& values) {
            program.set_input(name, shape_of(values), values.data());
          },
          py::arg("name"), py::arg("values"))
      .def(
          "set_constant",
          [](Program& program, const std::string& name, const DenseArray<float>& values) {
            program.set_constant(name, shape_of(values), values.data());
          },
          py::arg("name"), py::arg("values"))
      .def("output", &array_of, py::arg("name"))
      .def_property_readonly("copies", &Program::copies)
      .def_property_readonly("implementations", &Program::implementations);

  py::class_<Environment, std::shared_ptr<Environment>>(module, "OneDnnEnvironment")
      .def(py::init<std::shared_ptr<const Library>, int>(), py::arg("library"), py::arg("threads"))
      .def_property_readonly("threads", &Environment::threads)
      .def("program", &make_program, py::arg("tensors"), py::arg("steps"), py::kw_only(),
           py::arg("copies") = 1, py::arg("seed") = 0);
}
