#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/steps.hpp"
#include "gpu/ahead.hpp"
#include "gpu/blas.hpp"
#include "gpu/clock.hpp"
#include "gpu/compiler.hpp"
#include "gpu/convolution.hpp"
#include "gpu/driver.hpp"
#include "gpu/gpu.hpp"
#include "gpu/monitor.hpp"
#include "gpu/program.hpp"
#include "gpu/runnables.hpp"
#include "gpu/shared_library.hpp"

namespace py = pybind11;
using namespace lutra::gpu;

namespace {

using Places = std::pair<std::vector<std::string>, std::vector<std::string>>;
using TensorTuple = std::tuple<std::string, Shape, std::string, std::string>;

/// What programs and runnables of one GPU share.
struct Environment {
  Libraries libraries;
  std::shared_ptr<DeviceClock> clock = std::make_shared<DeviceClock>();
  std::shared_ptr<ClockWatch> watch;
};

Candidates candidates_of(const Places& places) { return {places.first, places.second}; }

py::dict dict_of(const DeviceInfo& info) {
  return py::dict(py::arg("index") = info.index, py::arg("name") = info.name,
                  py::arg("architecture") = info.architecture,
                  py::arg("multiprocessors") = info.multiprocessors, py::arg("clock_khz") = info.clock_khz,
                  py::arg("memory_clock_khz") = info.memory_clock_khz, py::arg("bus_bits") = info.bus_bits,
                  py::arg("l2_bytes") = info.l2_bytes, py::arg("memory_bytes") = info.memory_bytes,
                  py::arg("pci_bus_id") = info.pci_bus_id);
}

py::dict dict_of(const GpuState& state) {
  return py::dict(py::arg("sm_mhz") = state.sm_mhz, py::arg("max_sm_mhz") = state.max_sm_mhz,
                  py::arg("power_w") = state.power_w, py::arg("power_limit_w") = state.power_limit_w,
                  py::arg("slowed") = state.slowed, py::arg("reasons") = state.reasons,
                  py::arg("driver_version") = state.driver_version);
}

py::dict dict_of(const Observed& observed) {
  return py::dict(py::arg("sm_mhz") = observed.sm_mhz, py::arg("discarded") = observed.discarded,
                  py::arg("slow") = observed.slow, py::arg("dispatch_ns") = observed.dispatch_ns);
}

std::shared_ptr<Environment> make_environment(std::shared_ptr<const Gpu> gpu,
                                              std::shared_ptr<const Blas> blas, std::string blas_missing,
                                              std::shared_ptr<const Dnn> dnn, std::string dnn_missing) {
  auto made = std::make_shared<Environment>();
  made->watch = std::make_shared<ClockWatch>(gpu);
  made->libraries = {std::move(gpu), std::move(blas), std::move(dnn), std::move(blas_missing),
                     std::move(dnn_missing)};
  return made;
}

std::shared_ptr<Program> make_program(const Environment& environment, const std::vector<TensorTuple>& given,
                                      const std::vector<StepTuple>& steps, std::int64_t copies,
                                      std::uint64_t seed) {
  std::vector<TensorSpec> tensors;
  for (const auto& [name, shape, element, role] : given)
    tensors.push_back({name, shape, element_named(element), lutra::cpu::role_named(role)});
  const std::vector<StepSpec> specs = steps_of(steps);
  const py::gil_scoped_release released;
  return std::make_shared<Program>(environment.libraries, std::move(tensors), specs, copies, seed);
}

template <typename R>
std::shared_ptr<R> make_runnable(const Environment& environment, std::shared_ptr<const Program> program) {
  const py::gil_scoped_release released;
  return std::make_shared<R>(std::move(program), environment.clock, environment.watch);
}

void bind_libraries(py::module_& gpu) {
  gpu.def("ahead_compiler", &ahead_compiler);
  gpu.def("ahead_runs", &ahead_runs, py::arg("architecture"), py::arg("cuda_version"));
  py::class_<Driver, std::shared_ptr<Driver>>(gpu, "Driver")
      .def(py::init([](const Places& places) { return std::make_shared<Driver>(candidates_of(places)); }),
           py::arg("places"))
      .def_property_readonly("path", &Driver::path)
      .def_property_readonly("cuda_version", &Driver::cuda_version)
      .def("devices", [](const Driver& driver) {
        py::list listed;
        for (const DeviceInfo& info : driver.devices()) listed.append(dict_of(info));
        return listed;
      });

  py::class_<Compiler, std::shared_ptr<Compiler>>(gpu, "Compiler")
      .def(py::init([](const Places& places, const Places& builtins) {
             return std::make_shared<Compiler>(candidates_of(places), candidates_of(builtins));
           }),
           py::arg("places"), py::arg("builtins"))
      .def_property_readonly("path", &Compiler::path)
      .def_property_readonly("version", &Compiler::version)
      .def_property_readonly("architectures", &Compiler::architectures)
      .def(
          "compile",
          [](const Compiler& compiler, int architecture, std::optional<std::string> element) {
            std::vector<char> code;
            {
              const py::gil_scoped_release released;
              code = element
                         ? compiler.compile(
                               kernel_source(), architecture,
                               {"LUTRA_ELEMENT=" + std::to_string(static_cast<int>(element_named(*element)))})
                         : compiler.compile(tools_source(), architecture, {});
            }
            return py::bytes(code.data(), code.size());
          },
          py::arg("architecture"), py::arg("element"));

  py::class_<Monitor, std::shared_ptr<Monitor>>(gpu, "Monitor")
      .def(py::init([](const Places& places, const std::string& pci_bus_id) {
             return std::make_shared<Monitor>(candidates_of(places), pci_bus_id);
           }),
           py::arg("places"), py::arg("pci_bus_id"))
      .def("state", [](const Monitor& monitor) { return dict_of(monitor.state()); });

  gpu.def(
      "library_version",
      [](const std::string& what, const Places& places, const char* symbol) {
        const py::gil_scoped_release released;
        std::size_t (*version)() = nullptr;
        SharedLibrary(what, candidates_of(places)).find(symbol, version);
        return version();
      },
      py::arg("what"), py::arg("places"), py::arg("symbol"));

  // Each object owns a share of what it was made from: no order of deletion is wrong.
  py::class_<Gpu, std::shared_ptr<Gpu>>(gpu, "Gpu")
      .def(py::init([](std::shared_ptr<Driver> driver, std::shared_ptr<Compiler> compiler, int index) {
             return std::make_shared<Gpu>(std::move(driver), std::move(compiler), index);
           }),
           py::arg("driver"), py::arg("compiler"), py::arg("index"))
      .def_property_readonly("compiler", &Gpu::compiler)
      .def_property_readonly("info", [](const Gpu& self) { return dict_of(self.info()); })
      .def_property_readonly("free_bytes", [](const Gpu& self) {
        self.enter();
        return self.free_bytes();
      });

  py::class_<Blas, std::shared_ptr<Blas>>(gpu, "Blas")
      .def(py::init([](std::shared_ptr<Gpu> on, const Places& places) {
             return std::make_shared<Blas>(std::move(on), candidates_of(places));
           }),
           py::arg("gpu"), py::arg("places"))
      .def_property_readonly("path", &Blas::path)
      .def_property_readonly("version", &Blas::version);

  py::class_<Dnn, std::shared_ptr<Dnn>>(gpu, "Dnn")
      .def(py::init([](std::shared_ptr<Gpu> on, const Places& places, const std::vector<std::string>& parts) {
             return std::make_shared<Dnn>(std::move(on), candidates_of(places), parts);
           }),
           py::arg("gpu"), py::arg("places"), py::arg("parts"))
      .def_property_readonly("path", &Dnn::path)
      .def_property_readonly("version", &Dnn::version);
}

void bind_programs(py::module_& gpu) {
  py::class_<Program, std::shared_ptr<Program>>(gpu, "Program")
      .def(
          "set_input",
          [](Program& program, const std::string& name, const DenseArray<float>& values) {
            program.set_input(name, {values.shape(), values.shape() + values.ndim()}, values.data());
          },
          py::arg("name"), py::arg("values"))
      .def(
          "set_indices",
          [](Program& program, const std::string& name, const DenseArray<std::int64_t>& values) {
            program.set_indices(name, {values.shape(), values.shape() + values.ndim()}, values.data());
          },
          py::arg("name"), py::arg("values"))
      .def(
          "set_constant",
          [](Program& program, const std::string& name, const DenseArray<float>& values) {
            program.set_constant(name, {values.shape(), values.shape() + values.ndim()}, values.data());
          },
          py::arg("name"), py::arg("values"))
      .def(
          "run",
          [](const Program& program) {
            program.gpu().enter();
            program.enqueue(0);
            program.gpu().synchronize();
          },
          py::call_guard<py::gil_scoped_release>())
      .def(
          "content",
          [](const Program& program, const std::string& name) {
            const Program::Content content = program.content(name);
            return py::array_t<float>(content.shape, content.values.data());
          },
          py::arg("name"))
      .def_property_readonly("copies", &Program::copies)
      .def_property_readonly("bytes", &Program::bytes)
      .def_property_readonly("implementations", &Program::implementations);

  py::class_<TimedRunnable, lutra::timing::Runnable, std::shared_ptr<TimedRunnable>>(gpu, "TimedRunnable")
      .def("observed", [](const TimedRunnable& runnable) { return dict_of(runnable.observed()); });
  py::class_<GraphRunnable, TimedRunnable, std::shared_ptr<GraphRunnable>>(gpu, "GraphRunnable")
      .def(py::init([](const Environment& environment, std::shared_ptr<const Program> program,
                       std::int64_t repeats) {
             const py::gil_scoped_release released;
             return std::make_shared<GraphRunnable>(std::move(program), environment.clock, environment.watch,
                                                    repeats);
           }),
           py::arg("environment"), py::arg("program"), py::kw_only(), py::arg("repeats") = 0)
      .def_property_readonly("executions", &GraphRunnable::executions);
  py::class_<ColdRunnable, TimedRunnable, std::shared_ptr<ColdRunnable>>(gpu, "ColdRunnable")
      .def(py::init(&make_runnable<ColdRunnable>), py::arg("environment"), py::arg("program"));
  py::class_<EagerRunnable, TimedRunnable, std::shared_ptr<EagerRunnable>>(gpu, "EagerRunnable")
      .def(py::init(&make_runnable<EagerRunnable>), py::arg("environment"), py::arg("program"));
  py::class_<ReferenceRunnable, TimedRunnable, std::shared_ptr<ReferenceRunnable>>(gpu, "ReferenceRunnable")
      .def(py::init([](const Environment& environment, bool memory) {
             return std::make_shared<ReferenceRunnable>(
                 environment.libraries.gpu, environment.clock, environment.watch,
                 memory ? ReferenceRunnable::Kind::kMemory : ReferenceRunnable::Kind::kCompute);
           }),
           py::arg("environment"), py::kw_only(), py::arg("memory"));
  py::class_<EmptyRunnable, TimedRunnable, std::shared_ptr<EmptyRunnable>>(gpu, "EmptyRunnable")
      .def(py::init([](const Environment& environment, std::int64_t nodes) {
             return std::make_shared<EmptyRunnable>(environment.libraries.gpu, environment.clock,
                                                    environment.watch, nodes);
           }),
           py::arg("environment"), py::arg("nodes"));
}

}  // namespace

void bind_gpu(py::module_& module) {
  py::module_ gpu = module.def_submodule("gpu", "NVIDIA GPUs, their libraries opened at run time.");
  py::register_exception<GpuLost>(gpu, "GpuLost", module.attr("Fatal"));
  py::register_exception<OutOfGpuMemory>(gpu, "OutOfGpuMemory", PyExc_RuntimeError);
  py::class_<DeviceClock, lutra::timing::Clock, std::shared_ptr<DeviceClock>>(gpu, "DeviceClock")
      .def(py::init<>())
      .def("catch_up", &DeviceClock::catch_up)
      .def("spent", &DeviceClock::spent, py::arg("host_ns"), py::arg("device_ns"))
      .def_property_readonly("device_ns", &DeviceClock::thread_cpu_ns);
  bind_libraries(gpu);
  py::class_<Environment, std::shared_ptr<Environment>>(gpu, "Environment")
      .def(py::init(&make_environment), py::arg("gpu"), py::arg("blas"), py::arg("blas_missing"),
           py::arg("dnn"), py::arg("dnn_missing"))
      .def_readonly("clock", &Environment::clock)
      .def_property_readonly("highest_mhz", [](const Environment& self) { return self.watch->highest_mhz(); })
      .def("program", &make_program, py::arg("tensors"), py::arg("steps"), py::kw_only(),
           py::arg("copies") = 1, py::arg("seed") = 0);
  bind_programs(gpu);
}
