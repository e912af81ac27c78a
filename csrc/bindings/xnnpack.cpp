#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "xnnpack/graph.hpp"
#include "xnnpack/library.hpp"
#include "xnnpack/session.hpp"

namespace py = pybind11;
using namespace lutra::xnnpack;

namespace {

using ValueTuple = std::tuple<std::string, Shape, std::string>;
using NodeTuple = std::tuple<std::string, std::vector<std::string>, std::vector<std::string>, py::dict>;
using Arrays = std::map<std::string, DenseArray<float>>;

Role role_named(const std::string& name) {
  if (name == "input") return Role::kInput;
  if (name == "output") return Role::kOutput;
  if (name == "constant") return Role::kConstant;
  if (name == "internal") return Role::kInternal;
  throw py::value_error("no role is called '" + name + "'");
}

Attribute attribute_of(const py::handle& value) {
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::int_>(value)) return std::vector<std::int64_t>{value.cast<std::int64_t>()};
  return value.cast<std::vector<std::int64_t>>();
}

GraphSpec graph_of(const std::vector<ValueTuple>& values, const std::vector<NodeTuple>& nodes) {
  GraphSpec graph;
  for (const auto& [name, shape, role] : values)
    graph.values.push_back({name, shape, role_named(role), nullptr});
  for (const auto& [op, inputs, outputs, attributes] : nodes) {
    NodeSpec& node = graph.nodes.emplace_back(NodeSpec{op, inputs, outputs, {}});
    for (const auto& [key, value] : attributes)
      node.attributes[key.cast<std::string>()] = attribute_of(value);
  }
  return graph;
}

std::shared_ptr<Session> make_session(const std::shared_ptr<Environment>& environment,
                                      const std::vector<ValueTuple>& values,
                                      const std::vector<NodeTuple>& nodes, const Arrays& contents,
                                      std::map<std::string, std::string> memory_of_outputs) {
  SessionSpec spec{graph_of(values, nodes), {}, std::move(memory_of_outputs)};
  for (const auto& [name, array] : contents) spec.contents[name] = view(array);
  const py::gil_scoped_release released;
  return std::make_shared<Session>(environment, std::move(spec));
}

py::dict outputs_of(const Session& session) {
  py::dict result;
  for (const Session::Output& output : session.outputs()) {
    // Without a base object numpy copies, so the array does not change with the next run.
    result[py::str(output.name)] = py::array_t<float>(output.shape, output.values.data());
  }
  return result;
}

}  // namespace

void bind_xnnpack(py::module_& module) {
  py::class_<Library, std::shared_ptr<Library>>(module, "XnnLibrary")
      .def(py::init<const std::string&>(), py::arg("path"))
      .def_property_readonly("path", &Library::path)
      .def_property_readonly("build", &Library::build);

  py::class_<Session, lutra::timing::Runnable, std::shared_ptr<Session>>(module, "XnnSession")
      .def("outputs", &outputs_of)
      .def("outputs_finite", &Session::outputs_finite);

  py::class_<Environment, std::shared_ptr<Environment>>(module, "XnnEnvironment")
      .def(py::init<std::shared_ptr<Library>, int>(), py::arg("library"), py::arg("threads"))
      .def_property_readonly("threads", &Environment::threads)
      .def("session", &make_session, py::arg("values"), py::arg("nodes"), py::kw_only(), py::arg("contents"),
           py::arg("memory_of_outputs") = py::dict());
  module.def("xnn_operators", &known_operators);
}
