#include "gpu/runnables.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace lutra::gpu {
namespace {

constexpr unsigned long long kProbeNs = 20'000;
constexpr std::chrono::milliseconds kRest{20};
constexpr std::size_t kMostKept = 4096;
constexpr std::size_t kTriadBytes = std::size_t{256} << 20;
constexpr unsigned kThreads = 256;

template <typename T>
T median_of(std::vector<T> values) {
  if (values.empty()) return T{};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

ClockWatch::ClockWatch(std::shared_ptr<const Gpu> gpu) : gpu_(std::move(gpu)), times_(gpu_, 16) {
  for (int i = 0; i < 3; ++i) probe();
}

double ClockWatch::probe() {
  gpu_->launch(gpu_->tool("clock_probe"), {1}, {1}, times_.pointer(), kProbeNs);
  gpu_->synchronize();
  std::array<unsigned long long, 2> times{};
  gpu_->download(times.data(), times_.pointer(), sizeof(times));
  const double mhz = times[1] > 0 ? static_cast<double>(times[0]) * 1e3 / static_cast<double>(times[1]) : 0.0;
  highest_ = std::max(highest_, mhz);
  return mhz;
}

TimedRunnable::TimedRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                             std::shared_ptr<ClockWatch> watch)
    : gpu_(std::move(gpu)), clock_(std::move(clock)), watch_(std::move(watch)), stopwatch_(*gpu_) {}

void TimedRunnable::before() {
  clock_->catch_up();
  gpu_->enter();
}

void TimedRunnable::run() {
  const std::int64_t begin = clock_->host_ns();
  gpu_->enter();
  double mhz = watch_->probe();
  std::int64_t device_ns = 0;
  for (int attempt = 0;; ++attempt) {
    device_ns = execute();
    const double after = watch_->probe();
    const double slower = std::min(mhz, after);
    const bool slow = watch_->is_slow(slower);
    if (slow && attempt < ClockWatch::kMostRetries) {
      ++discarded_;
      std::this_thread::sleep_for(kRest);
      mhz = watch_->probe();
      continue;
    }
    if (slow) ++slow_;
    if (mhz_.size() < kMostKept) mhz_.push_back(slower);
    break;
  }
  clock_->spent(clock_->host_ns() - begin, device_ns);
}

Observed TimedRunnable::observed() const {
  return {.sm_mhz = median_of(mhz_),
          .discarded = discarded_,
          .slow = slow_,
          .dispatch_ns = median_of(dispatch_ns_)};
}

GraphRunnable::GraphRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
                             std::shared_ptr<ClockWatch> watch, std::int64_t repeats)
    : TimedRunnable(std::shared_ptr<const Gpu>(program, &program->gpu()), std::move(clock), std::move(watch)),
      program_(std::move(program)),
      repeats_(repeats) {
  gpu().enter();
  program_->enqueue(0);  // what is loaded or made on first use
  if (repeats_ < 1) repeats_ = enough_repeats();
  recording_ = std::make_unique<Recording>(gpu(), [this] {
    for (std::int64_t repeat = 0; repeat < repeats_; ++repeat)
      for (std::int64_t copy = 0; copy < program_->copies(); ++copy) program_->enqueue(copy);
  });
  recording_->launch();
  gpu().synchronize();
}

std::int64_t GraphRunnable::enough_repeats() const {
  stopwatch().start();
  program_->enqueue(0);
  stopwatch().stop();
  const std::int64_t once_ns = std::max<std::int64_t>(stopwatch().elapsed_ns(), 1);
  const std::int64_t all_ns = once_ns * program_->copies();
  const std::int64_t nodes =
      program_->copies() * static_cast<std::int64_t>(std::max<std::size_t>(program_->step_count(), 1));
  return std::clamp<std::int64_t>((kGraphNs + all_ns - 1) / all_ns, 1,
                                  std::max<std::int64_t>(kMostNodes / nodes, 1));
}

void GraphRunnable::before() {
  TimedRunnable::before();
  gpu().synchronize();
  const std::int64_t begin = clock().host_ns();
  program_->enqueue(next_);
  dispatched(clock().host_ns() - begin);
  next_ = (next_ + 1) % program_->copies();
  gpu().synchronize();
}

std::int64_t GraphRunnable::execute() {
  stopwatch().start();
  recording_->launch();
  stopwatch().stop();
  return stopwatch().elapsed_ns();
}

ColdRunnable::ColdRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
                           std::shared_ptr<ClockWatch> watch)
    : TimedRunnable(std::shared_ptr<const Gpu>(program, &program->gpu()), std::move(clock), std::move(watch)),
      program_(std::move(program)) {
  gpu().enter();
  const auto cache = static_cast<std::size_t>(std::max<std::int64_t>(gpu().info().l2_bytes, 1 << 20));
  scratch_ = Memory(std::shared_ptr<const Gpu>(program_, &program_->gpu()), 2 * cache);
  void* host = nullptr;
  gpu().check(gpu().api().MemHostAlloc(&host, 2 * sizeof(int), cuda::kHostAllocMapped),
              "allocating two flags");
  flags_ = static_cast<volatile int*>(host);
  gpu().check(gpu().api().MemHostGetDevicePointer(&device_flags_, host, 0), "mapping two flags");
  program_->enqueue(0);  // what is loaded or made on first use would wait for the host
  gpu().synchronize();
}

ColdRunnable::~ColdRunnable() {
  if (flags_ != nullptr) gpu().api().MemFreeHost(const_cast<int*>(flags_));
}

std::int64_t ColdRunnable::execute() {
  flags_[0] = 0;
  flags_[1] = 0;
  const unsigned long long words = scratch_.bytes() / sizeof(unsigned);
  const unsigned blocks = static_cast<unsigned>(std::max(gpu().info().multiprocessors, 1)) * 4;
  gpu().launch(gpu().tool("flush"), {blocks}, {kThreads}, scratch_.pointer(), words, ++written_);
  gpu().launch(gpu().tool("hold"), {1}, {1}, device_flags_, device_flags_ + sizeof(int),
               static_cast<unsigned long long>(kHoldNs));
  try {
    stopwatch().start();
    const std::int64_t begin = clock().host_ns();
    program_->enqueue(next_);
    dispatched(clock().host_ns() - begin);
    stopwatch().stop();
  } catch (...) {
    flags_[0] = 1;  // never leave the stream held
    throw;
  }
  next_ = (next_ + 1) % program_->copies();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  flags_[0] = 1;
  const std::int64_t device_ns = stopwatch().elapsed_ns();
  if (flags_[1] != 1)
    throw std::runtime_error("the stream was held for " + std::to_string(kHoldNs / 1'000'000) +
                             " ms and let go: what is timed waits for the host, so it has no cold time");
  return device_ns;
}

EagerRunnable::EagerRunnable(std::shared_ptr<const Program> program, std::shared_ptr<DeviceClock> clock,
                             std::shared_ptr<ClockWatch> watch)
    : TimedRunnable(std::shared_ptr<const Gpu>(program, &program->gpu()), std::move(clock), std::move(watch)),
      program_(std::move(program)) {
  gpu().enter();
  program_->enqueue(0);
  gpu().synchronize();
}

std::int64_t EagerRunnable::execute() {
  stopwatch().start();
  const std::int64_t begin = clock().host_ns();
  program_->enqueue(0);
  dispatched(clock().host_ns() - begin);
  stopwatch().stop();
  return stopwatch().elapsed_ns();
}

ReferenceRunnable::ReferenceRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                                     std::shared_ptr<ClockWatch> watch, Kind kind)
    : TimedRunnable(gpu, std::move(clock), std::move(watch)),
      kind_(kind),
      memory_(gpu, kind == Kind::kMemory ? 3 * kTriadBytes : 256) {}

std::int64_t ReferenceRunnable::execute() {
  const unsigned blocks = static_cast<unsigned>(std::max(gpu().info().multiprocessors, 1)) * 4;
  stopwatch().start();
  if (kind_ == Kind::kCompute) {
    gpu().launch(gpu().tool("arithmetic"), {blocks}, {kThreads}, memory_.pointer(), 4096);
  } else {
    gpu().launch(gpu().tool("triad"), {blocks}, {kThreads}, memory_.pointer(),
                 memory_.pointer() + kTriadBytes, memory_.pointer() + 2 * kTriadBytes,
                 static_cast<unsigned>(kTriadBytes / 16));
  }
  stopwatch().stop();
  return stopwatch().elapsed_ns();
}

EmptyRunnable::EmptyRunnable(std::shared_ptr<const Gpu> gpu, std::shared_ptr<DeviceClock> clock,
                             std::shared_ptr<ClockWatch> watch, std::int64_t nodes)
    : TimedRunnable(gpu, std::move(clock), std::move(watch)) {
  const cuda::Function nothing = gpu->tool("nothing");
  recording_ = std::make_unique<Recording>(*gpu, [&] {
    for (std::int64_t i = 0; i < nodes; ++i) gpu->launch(nothing, {1}, {32});
  });
}

std::int64_t EmptyRunnable::execute() {
  stopwatch().start();
  recording_->launch();
  stopwatch().stop();
  return stopwatch().elapsed_ns();
}

}  // namespace lutra::gpu
