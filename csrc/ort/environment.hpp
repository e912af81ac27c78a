#pragma once

#include <memory>

#include "ort/library.hpp"

namespace lutra::ort {

/// ONNX Runtime's process-wide state: its threads and the memory arena that all sessions share.
///
/// With one thread, sessions run inline and no pool exists. With more, all sessions share one pool, because
/// the pools of idle sessions keep spinning and take the cores from the one that is timed. The arena is
/// shared because a private arena per session makes each of many rotated sessions start cold.
class Environment {
 public:
  /// The environment for this many threads. The library keeps one environment per process, so a living one is
  /// handed out again, and one with another thread count cannot exist beside it.
  /// @throws std::invalid_argument for fewer than one thread; std::runtime_error if one with another number
  /// of threads is alive, or as the library reports.
  static std::shared_ptr<Environment> open(std::shared_ptr<const Library> library, int threads);

  [[nodiscard]] const Library& library() const { return *library_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] OrtEnv* get() const { return env_.get(); }
  /// Describes plain CPU memory, for tensors over buffers of our own.
  [[nodiscard]] const OrtMemoryInfo* memory() const { return memory_.get(); }

 private:
  Environment(std::shared_ptr<const Library> library, int threads);

  std::shared_ptr<const Library> library_;
  int threads_;
  Env env_;
  MemoryInfo memory_;
};

}  // namespace lutra::ort
