#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "ort/environment.hpp"
#include "ort/library.hpp"
#include "ort/session.hpp"

namespace py = pybind11;
using namespace lutra::ort;

namespace {

constexpr std::pair<const char*, ElementType> kTypes[] = {
    {"float32", kFloat32}, {"float64", kFloat64}, {"float16", kFloat16}, {"int8", kInt8},
    {"int16", kInt16},     {"int32", kInt32},     {"int64", kInt64},     {"uint8", kUint8},
    {"uint16", kUint16},   {"uint32", kUint32},   {"uint64", kUint64},   {"bool", kBool},
};

ElementType element_type(const py::dtype& dtype) {
  for (const auto& [name, type] : kTypes)
    if (dtype.equal(py::dtype(name))) return type;
  throw py::type_error("arrays of " + py::str(dtype).cast<std::string>() + " cannot be inputs");
}

py::dtype numpy_type(ElementType type) {
  for (const auto& [name, known] : kTypes)
    if (known == type) return py::dtype(name);
  throw py::type_error("numpy has no type for " + type_name(type));
}

using Arrays = std::map<std::string, py::array>;

/// Makes each array dense in place, so that the views stay valid as long as `arrays`.
std::map<std::string, TensorView> views_of(Arrays& arrays) {
  std::map<std::string, TensorView> views;
  for (auto& [name, array] : arrays) {
    array = py::array::ensure(array, py::array::c_style);
    TensorView& view = views[name];
    view.spec.type = element_type(array.dtype());
    view.spec.shape.assign(array.shape(), array.shape() + array.ndim());
    view.bytes = {static_cast<const std::byte*>(array.data()), static_cast<std::size_t>(array.nbytes())};
  }
  return views;
}

std::shared_ptr<Session> make_session(const std::shared_ptr<Environment>& environment, const py::bytes& model,
                                      Arrays inputs, const SessionSettings& settings) {
  const auto text = static_cast<std::string_view>(model);
  const std::map<std::string, TensorView> views = views_of(inputs);
  // The arguments keep the model's bytes and the arrays alive; the session copies both.
  const py::gil_scoped_release released;
  return std::make_shared<Session>(environment, std::as_bytes(std::span(text)), views, settings);
}

py::dict outputs_of(const Session& session) {
  py::dict result;
  for (const Output& output : session.outputs()) {
    const TensorSpec& spec = output.tensor.spec;
    // Without a base object numpy copies, so the array does not change with the next run.
    result[py::str(output.name)] = py::array(numpy_type(spec.type), spec.shape, output.tensor.bytes.data());
  }
  return result;
}

}  // namespace

void bind_ort(py::module_& module) {
  py::class_<Library, std::shared_ptr<Library>>(module, "OrtLibrary")
      .def(py::init<const std::string&>(), py::arg("path"))
      .def_property_readonly("path", &Library::path)
      .def_property_readonly("version", &Library::version);

  // A session owns a share of its environment, and that of its library: no order of deletion is wrong.
  py::class_<Session, lutra::timing::Runnable, std::shared_ptr<Session>>(module, "OrtSession")
      .def_property_readonly("input_names", &Session::input_names)
      .def_property_readonly("output_names", &Session::output_names)
      .def("outputs", &outputs_of)
      .def("outputs_finite", &Session::outputs_finite);

  py::class_<Environment, std::shared_ptr<Environment>>(module, "OrtEnvironment")
      .def(py::init([](std::shared_ptr<Library> library, int threads) {
             // Under the GIL, so that no other thread is just closing the environment.
             return Environment::open(std::move(library), threads);
           }),
           py::arg("library"), py::arg("threads"))
      .def_property_readonly("threads", &Environment::threads)
      .def(
          "session",
          [](const std::shared_ptr<Environment>& environment, const py::bytes& model, bool optimize,
             Arrays inputs, std::uint64_t seed, std::map<std::string, std::string> config) {
            return make_session(environment, model, std::move(inputs),
                                {.optimize = optimize, .seed = seed, .config = std::move(config)});
          },
          py::arg("model"), py::kw_only(), py::arg("optimize"), py::arg("inputs") = py::dict(),
          py::arg("seed") = 0, py::arg("config") = py::dict());
}
