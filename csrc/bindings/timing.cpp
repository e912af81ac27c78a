#include <pybind11/stl.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/callable.hpp"
#include "timing/clock.hpp"
#include "timing/fake.hpp"
#include "timing/measure.hpp"
#include "timing/reference.hpp"
#include "timing/runnable.hpp"
#include "timing/sample.hpp"
#include "timing/scrub.hpp"

namespace py = pybind11;
using namespace lutra::timing;

namespace {

/// Lets a signal handler or another thread end a measurement.
class CancelFlag {
 public:
  void set() { flag_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_set() const { return flag_.load(std::memory_order_relaxed); }
  [[nodiscard]] const std::atomic<bool>* flag() const { return &flag_; }

 private:
  std::atomic<bool> flag_{false};
};

/// The two references as they are named in Python, compute and memory. Under a fake clock they are fakes as
/// well.
using References = std::pair<std::shared_ptr<Runnable>, std::shared_ptr<Runnable>>;

References make_references(const std::shared_ptr<Clock>& clock) {
  if (const auto fake = std::dynamic_pointer_cast<FakeClock>(clock))
    return {std::make_shared<NullRunnable>(fake, 100'000, 0.0, 0),
            std::make_shared<NullRunnable>(fake, 1'000'000, 0.0, 0)};
  return {std::make_shared<ComputeReference>(), std::make_shared<MemoryReference>()};
}

/// Called by the measuring thread without the GIL. Signals are handled here too, because no other Python code
/// of the main thread runs during a measurement; a handler may set the cancel flag or raise.
void report(const py::object& callback, const Progress& progress) {
  const py::gil_scoped_acquire acquired;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (callback.is_none()) return;
  callback(progress.converged, progress.entries, progress.current, progress.round,
           static_cast<double>(progress.elapsed_ns) * 1e-9);
}

std::int64_t seconds_to_ns(double seconds) {
  constexpr auto kLongest = std::numeric_limits<std::int64_t>::max();
  if (std::isnan(seconds)) throw py::value_error("a duration must not be NaN");
  return seconds * 1e9 < static_cast<double>(kLongest) ? static_cast<std::int64_t>(seconds * 1e9) : kLongest;
}

Measured measure(const std::vector<std::shared_ptr<Runnable>>& entries, const MeasureOptions& options,
                 const py::object& progress, const std::shared_ptr<CancelFlag>& cancel,
                 const std::shared_ptr<Clock>& given, const std::optional<References>& chosen) {
  // The shared pointers keep every entry, the flag and the clock alive while the GIL is released.
  std::vector<Runnable*> pointers;
  for (const auto& entry : entries) {
    if (!entry) throw py::type_error("entries must not hold None");
    pointers.push_back(entry.get());
  }
  const py::gil_scoped_release released;
  SystemClock system;
  Clock& clock = given ? *given : system;
  const References references = chosen ? *chosen : make_references(given);
  Runnable* const reference_pointers[] = {references.first.get(), references.second.get()};
  Control control;
  control.cancel = cancel ? cancel->flag() : nullptr;
  control.report_progress = [&progress](const Progress& now) { report(progress, now); };
  return measure_interleaved(pointers, reference_pointers, options, clock, control);
}

template <std::vector<std::int64_t> Series::* Column>
py::array_t<std::int64_t> column(const Series& series) {
  return to_numpy(series.*Column);
}

void bind_clocks(py::module_& module) {
  py::class_<ClockCalibration>(module, "ClockCalibration")
      .def_readonly("resolution_ns", &ClockCalibration::resolution_ns)
      .def_readonly("overhead_ns", &ClockCalibration::overhead_ns)
      .def_readonly("cpu_overhead_ns", &ClockCalibration::cpu_overhead_ns)
      .def_property_readonly("min_sample_ns", &ClockCalibration::min_sample_ns);
  module.def("calibrate_clock", [] {
    SystemClock clock;
    return calibrate(clock);
  });
  py::class_<Clock, std::shared_ptr<Clock>>(module, "Clock");
  py::class_<FakeClock, Clock, std::shared_ptr<FakeClock>>(module, "FakeClock")
      .def(py::init<std::int64_t>(), py::kw_only(), py::arg("tick_ns") = 0)
      .def("advance", &FakeClock::advance, py::arg("ns"))
      .def_property_readonly("now_ns", &FakeClock::now_ns);
}

void bind_runnables(py::module_& module) {
  py::register_exception<Fatal>(module, "Fatal", PyExc_RuntimeError);
  py::class_<Runnable, std::shared_ptr<Runnable>>(module, "Runnable")
      .def("run", &Runnable::run, py::call_guard<py::gil_scoped_release>())
      .def("before", &Runnable::before, py::call_guard<py::gil_scoped_release>());
  py::class_<CallableRunnable, Runnable, std::shared_ptr<CallableRunnable>>(module, "CallableRunnable")
      .def(py::init<py::function, std::optional<py::function>>(), py::arg("run"),
           py::arg("before") = py::none());
  py::class_<NullRunnable, Runnable, std::shared_ptr<NullRunnable>>(module, "NullRunnable")
      .def(py::init<std::shared_ptr<FakeClock>, std::int64_t, double, std::uint64_t>(), py::arg("clock"),
           py::arg("duration_ns"), py::kw_only(), py::arg("jitter") = 0.0, py::arg("seed") = 0);
  py::class_<Scrubber, std::shared_ptr<Scrubber>>(module, "Scrubber")
      .def(py::init<std::size_t>(), py::arg("size"))
      .def("scrub", &Scrubber::scrub, py::call_guard<py::gil_scoped_release>());
  py::class_<ScrubbedRunnable, Runnable, std::shared_ptr<ScrubbedRunnable>>(module, "ScrubbedRunnable")
      .def(py::init<std::shared_ptr<Runnable>, std::shared_ptr<Scrubber>>(), py::arg("inner").none(false),
           py::arg("scrubber").none(false));
  py::class_<ComputeReference, Runnable, std::shared_ptr<ComputeReference>>(module, "ComputeReference")
      .def(py::init<>());
  py::class_<MemoryReference, Runnable, std::shared_ptr<MemoryReference>>(module, "MemoryReference")
      .def(py::init<>());
}

void bind_results(py::module_& module) {
  py::class_<Series>(module, "Series")
      .def_readonly("batch", &Series::batch)
      .def("__len__", [](const Series& series) { return series.wall_ns.size(); })
      .def_property_readonly("start_ns", &column<&Series::start_ns>)
      .def_property_readonly("wall_ns", &column<&Series::wall_ns>)
      .def_property_readonly("cpu_ns", &column<&Series::cpu_ns>)
      .def_property_readonly("involuntary_switches", &column<&Series::involuntary_switches>)
      .def_property_readonly("minor_faults", &column<&Series::minor_faults>)
      .def_property_readonly("cpu", &column<&Series::cpu>)
      .def_property_readonly("round", &column<&Series::round>);

  py::class_<EntryResult>(module, "EntryResult")
      .def_readonly("samples", &EntryResult::samples)  // a view: keeps its EntryResult alive
      .def_readonly("converged", &EntryResult::converged)
      .def_readonly("halfwidth", &EntryResult::halfwidth)
      .def_property_readonly("error", [](const EntryResult& entry) -> py::object {
        return entry.error.empty() ? py::object(py::none()) : py::object(py::str(entry.error));
      });

  py::class_<Measured>(module, "Measured")
      .def_property_readonly(
          "entries",
          [](const py::object& self) {
            // Each element refers into the vector of `self` and keeps it alive.
            const auto& entries = self.cast<const Measured&>().entries;
            py::list list;
            for (const EntryResult& entry : entries)
              list.append(py::cast(entry, py::return_value_policy::reference_internal, self));
            return list;
          })
      .def_property_readonly(
          "compute_reference", [](const Measured& self) -> const Series& { return self.references[0]; },
          py::return_value_policy::reference_internal)
      .def_property_readonly(
          "memory_reference", [](const Measured& self) -> const Series& { return self.references[1]; },
          py::return_value_policy::reference_internal)
      .def_readonly("clock", &Measured::clock)
      .def_readonly("rounds", &Measured::rounds)
      .def_property_readonly("elapsed_s",
                             [](const Measured& self) { return static_cast<double>(self.elapsed_ns) * 1e-9; })
      .def_readonly("interrupted", &Measured::interrupted)
      .def_readonly("out_of_time", &Measured::out_of_time);
}

Metric parse_metric(const std::string& name) {
  if (name == "wall") return Metric::kWall;
  if (name == "cpu") return Metric::kThreadCpu;
  throw py::value_error("unknown metric '" + name + "'; known: 'wall', 'cpu'");
}

void bind_measure(py::module_& module) {
  const MeasureOptions defaults;
  py::class_<CancelFlag, std::shared_ptr<CancelFlag>>(module, "CancelFlag")
      .def(py::init<>())
      .def("set", &CancelFlag::set)
      .def("is_set", &CancelFlag::is_set);
  module.def(
      "measure_interleaved",
      [](const std::vector<std::shared_ptr<Runnable>>& entries, int min_rounds, int max_rounds,
         int samples_per_visit, int warmup_runs, double time_budget_s, double target_halfwidth,
         const std::string& metric, std::int64_t min_sample_ns, double reference_interval_s,
         std::vector<std::size_t> every_round, std::vector<std::vector<std::size_t>> sequences,
         std::uint64_t seed, const py::object& progress, const std::shared_ptr<CancelFlag>& cancel,
         const std::shared_ptr<Clock>& clock, const std::optional<References>& references) {
        if (references && (!references->first || !references->second))
          throw py::type_error("references must not hold None");
        MeasureOptions options;
        options.min_rounds = min_rounds;
        options.max_rounds = max_rounds;
        options.samples_per_visit = samples_per_visit;
        options.warmup_runs = warmup_runs;
        options.time_budget_ns = seconds_to_ns(time_budget_s);
        options.target_halfwidth = target_halfwidth;
        options.metric = parse_metric(metric);
        options.min_sample_ns = min_sample_ns;
        options.reference_interval_ns = seconds_to_ns(reference_interval_s);
        options.every_round = std::move(every_round);
        options.sequences = std::move(sequences);
        options.seed = seed;
        return measure(entries, options, progress, cancel, clock, references);
      },
      py::arg("entries"), py::kw_only(), py::arg("min_rounds") = defaults.min_rounds,
      py::arg("max_rounds") = defaults.max_rounds, py::arg("samples_per_visit") = defaults.samples_per_visit,
      py::arg("warmup_runs") = defaults.warmup_runs,
      py::arg("time_budget_s") = std::numeric_limits<double>::infinity(),
      py::arg("target_halfwidth") = defaults.target_halfwidth, py::arg("metric") = "wall",
      py::arg("min_sample_ns") = defaults.min_sample_ns,
      py::arg("reference_interval_s") = static_cast<double>(defaults.reference_interval_ns) * 1e-9,
      py::arg("every_round") = std::vector<std::size_t>(),
      py::arg("sequences") = std::vector<std::vector<std::size_t>>(), py::arg("seed"),
      py::arg("progress") = py::none(), py::arg("cancel") = py::none(), py::arg("clock") = py::none(),
      py::arg("references") = py::none());
}

}  // namespace

void bind_timing(py::module_& module) {
  bind_clocks(module);
  bind_runnables(module);
  bind_results(module);
  bind_measure(module);
}
