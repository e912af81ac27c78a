#pragma once

#include <memory>

#include "onednn/library.hpp"

namespace lutra::onednn {

/// The CPU as oneDNN's engine, and one in-order stream on it.
class Environment {
 public:
  /// @throws std::invalid_argument for fewer than one thread; std::runtime_error as the library reports.
  Environment(std::shared_ptr<const Library> library, int threads);

  [[nodiscard]] const Library& library() const { return *library_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] dnnl_engine* engine() const { return engine_.get(); }
  [[nodiscard]] dnnl_stream* stream() const { return stream_.get(); }

  /// Lets what the calling thread makes or runs next use this environment's number of threads.
  void enter() const { library_->set_threads(threads_); }

 private:
  // Destroyed in reverse order: the stream before its engine.
  std::shared_ptr<const Library> library_;
  int threads_;
  Engine engine_;
  Stream stream_;
};

}  // namespace lutra::onednn
