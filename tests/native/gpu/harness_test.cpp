// The measuring protocol on a fake GPU, whose clock is known and which goes wrong on demand. Its path is
// given.

#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "gpu/program.hpp"
#include "gpu/runnables.hpp"
#include "timing/measure.hpp"

using namespace lutra::gpu;

namespace {

void (*fake_set)(const char*) = nullptr;
std::string path;

struct Bench {
  std::shared_ptr<const Driver> driver = std::make_shared<Driver>(Candidates{{}, {path}});
  std::shared_ptr<const Compiler> compiler = std::make_shared<Compiler>(Candidates{{}, {path}}, Candidates{});
  std::shared_ptr<const Gpu> gpu = std::make_shared<Gpu>(driver, compiler, 0);
  Libraries libraries{.gpu = gpu,
                      .blas = std::make_shared<Blas>(gpu, Candidates{{}, {path}}),
                      .dnn = std::make_shared<Dnn>(gpu, Candidates{{}, {path}}, std::vector<std::string>{}),
                      .blas_missing = "",
                      .dnn_missing = ""};
  std::shared_ptr<DeviceClock> clock = std::make_shared<DeviceClock>();
  std::shared_ptr<ClockWatch> watch = std::make_shared<ClockWatch>(gpu);

  [[nodiscard]] std::shared_ptr<Program> relu(std::int64_t copies = 1, const std::string& op = "relu") const {
    return std::make_shared<Program>(libraries,
                                     std::vector<TensorSpec>{{"x", {4, 8}, Element::kFloat32, Role::kInput},
                                                             {"y", {4, 8}, Element::kFloat32, Role::kOutput}},
                                     std::vector<StepSpec>{{op, {"x"}, {"y"}, {}}}, copies, 0);
  }
  [[nodiscard]] std::shared_ptr<Program> linear(std::int64_t copies, std::int64_t width = 8) const {
    return std::make_shared<Program>(
        libraries,
        std::vector<TensorSpec>{{"x", {2, width}, Element::kFloat32, Role::kInput},
                                {"w", {8, width}, Element::kFloat32, Role::kConstant},
                                {"y", {2, 8}, Element::kFloat32, Role::kOutput}},
        std::vector<StepSpec>{{"linear", {"x", "w"}, {"y"}, {{"math", std::string("fp32")}}}}, copies, 0);
  }
};

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

bool says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

void test_what_the_driver_says() {
  const Bench bench;
  CHECK(bench.driver->cuda_version() == 13000);
  CHECK(bench.gpu->info().name == "Fake GPU");
  CHECK(bench.gpu->info().architecture == 90);
  CHECK(bench.gpu->info().l2_bytes == 1 << 20);
}

void test_missing_libraries_say_what_was_tried() {
  const std::string message =
      message_of([] { Driver driver(Candidates{{"libno-such-cuda.so.1"}, {"/no/such/file"}}); });
  CHECK(says(message, "NVIDIA's driver"));
  CHECK(says(message, "/no/such/file"));
  CHECK(says(message, "libno-such-cuda.so.1"));
}

void test_no_gpu_and_old_drivers_are_told_apart() {
  fake_set("devices=0");
  CHECK(says(message_of([] { Driver driver(Candidates{{}, {path}}); }), "the driver sees no GPU"));
  fake_set("devices=1,driver=12040");
  const std::string message = message_of([] { const Bench bench; });
  CHECK(says(message, "CUDA up to 12.4"));
  CHECK(says(message, "install a newer driver"));
  fake_set("driver=13000");
  CHECK(says(message_of([] {
               const Bench bench;
               Gpu other(bench.driver, bench.compiler, 3);
             }),
             "there is no GPU 3"));
}

void test_a_graph_runs_every_copy_as_often() {
  const Bench bench;
  GraphRunnable graph(bench.linear(6), bench.clock, bench.watch);
  CHECK(graph.executions() % 6 == 0);
  CHECK(graph.executions() > 6);
  const std::int64_t before = bench.clock->thread_cpu_ns();
  graph.before();
  graph.run();
  const std::int64_t each = (bench.clock->thread_cpu_ns() - before) / graph.executions();
  // Two microseconds and 128 multiply-accumulates of the fake, and its share of one launch of the graph.
  CHECK(each >= 2002);
  CHECK(each < 2200);
  CHECK(graph.observed().dispatch_ns > 0);
  CHECK_NEAR(graph.observed().sm_mhz, 1500.0, 20.0);
}

void test_samples_hold_the_gpus_time_alone() {
  const Bench bench;
  EmptyRunnable empty(bench.gpu, bench.clock, bench.watch, 10);
  lutra::timing::Runnable* entries[] = {&empty};
  lutra::timing::MeasureOptions options;
  options.max_rounds = 8;
  options.min_sample_ns = 1;
  const lutra::timing::Measured measured =
      lutra::timing::measure_interleaved(entries, {}, options, *bench.clock, lutra::timing::Control{});
  const std::vector<std::int64_t>& samples = measured.entries[0].samples.cpu_ns;
  CHECK(samples.size() == 24);
  CHECK(std::all_of(samples.begin(), samples.end(), [&](std::int64_t ns) { return ns == samples[0]; }));
  CHECK_NEAR(static_cast<double>(samples[0]) / static_cast<double>(measured.entries[0].samples.batch),
             15'020.0, 2.0);
}

void test_cold_runs_flush_and_hold() {
  const Bench bench;
  ColdRunnable cold(bench.linear(2), bench.clock, bench.watch);
  const std::int64_t before = bench.clock->thread_cpu_ns();
  cold.before();
  cold.run();
  CHECK_NEAR(static_cast<double>(bench.clock->thread_cpu_ns() - before), 2002.0, 2.0);
}

void test_a_stream_that_is_held_for_ever_is_let_go() {
  const Bench bench;
  ColdRunnable cold(bench.linear(1), bench.clock, bench.watch);
  fake_set("hang=1");
  CHECK(says(message_of([&] { cold.run(); }), "waits for the host"));
  fake_set("hang=0");
  cold.run();
}

void test_samples_under_a_low_clock_are_taken_again() {
  const Bench bench;
  EmptyRunnable empty(bench.gpu, bench.clock, bench.watch, 4);
  fake_set("slow_probes=3");
  empty.run();
  CHECK(empty.observed().discarded >= 1);
  CHECK(empty.observed().slow == 0);
  fake_set("slow_probes=1000");
  empty.run();
  CHECK(empty.observed().slow == 1);
  fake_set("slow_probes=0");
}

void test_a_lost_gpu_ends_the_measurement() {
  const Bench bench;
  EmptyRunnable first(bench.gpu, bench.clock, bench.watch, 4);
  EmptyRunnable second(bench.gpu, bench.clock, bench.watch, 4);
  lutra::timing::Runnable* entries[] = {&first, &second};
  lutra::timing::MeasureOptions options;
  options.min_sample_ns = 1;
  fake_set("fail_after=60");
  std::string message;
  try {
    lutra::timing::measure_interleaved(entries, {}, options, *bench.clock, lutra::timing::Control{});
  } catch (const GpuLost& error) {
    message = error.what();
  }
  CHECK(says(message, "the GPU is lost"));
  fake_set("fail_after=-1");
}

void test_too_large_is_told_with_both_sizes() {
  fake_set("memory_mib=64");
  const Bench bench;
  const std::string message = message_of([&] { static_cast<void>(bench.linear(1, 4 << 20)); });
  CHECK(says(message, "out of GPU memory"));
  CHECK(says(message, "MiB"));
  fake_set("memory_mib=8192");
}

void test_unknown_work_is_refused_by_name() {
  const Bench bench;
  const std::string message = message_of([&] { static_cast<void>(bench.relu(1, "fourier")); });
  CHECK(says(message, "fourier 4x8 -> 4x8"));
  CHECK_THROWS(std::invalid_argument, bench.relu(0));
}

void test_a_missing_library_is_named_by_what_needs_it() {
  Bench bench;
  bench.libraries.blas = nullptr;
  bench.libraries.blas_missing = "install nvidia-cublas";
  CHECK(
      says(message_of([&] { static_cast<void>(bench.linear(1)); }), "needs cuBLASLt: install nvidia-cublas"));
  static_cast<void>(bench.relu());  // what does not need it still runs
}

}  // namespace

int main(int, char** argv) {
  path = argv[1];
  void* const library = dlopen(argv[1], RTLD_NOW);
  CHECK(library != nullptr);
  fake_set = reinterpret_cast<void (*)(const char*)>(dlsym(library, "lutra_fake_set"));
  test_what_the_driver_says();
  test_missing_libraries_say_what_was_tried();
  test_no_gpu_and_old_drivers_are_told_apart();
  test_a_graph_runs_every_copy_as_often();
  test_samples_hold_the_gpus_time_alone();
  test_cold_runs_flush_and_hold();
  test_a_stream_that_is_held_for_ever_is_let_go();
  test_samples_under_a_low_clock_are_taken_again();
  test_a_lost_gpu_ends_the_measurement();
  test_too_large_is_told_with_both_sizes();
  test_unknown_work_is_refused_by_name();
  test_a_missing_library_is_named_by_what_needs_it();
  return lutra::check::finish();
}
