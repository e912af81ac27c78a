#pragma once

#include <cstddef>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "timing/runnable.hpp"
#include "xnnpack/graph.hpp"
#include "xnnpack/library.hpp"

namespace lutra::xnnpack {

/// Floats at the start of a cache line, with the room behind them that XNNPACK may read.
class Buffer {
 public:
  explicit Buffer(std::size_t size);

  [[nodiscard]] float* data() const { return data_.get(); }
  [[nodiscard]] std::span<float> values() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(float* data) const noexcept { std::free(data); }
  };
  std::size_t size_;
  std::unique_ptr<float, Free> data_;
};

struct SessionSpec {
  GraphSpec graph;
  /// Contents of inputs and constants, by name. They are copied.
  std::map<std::string, std::span<const float>> contents;
  /// Outputs that are named here with the same text share memory; others have their own.
  std::map<std::string, std::string> memory_of_outputs;
};

/// A graph with everything packed and planned; `run` is one inference that allocates nothing.
class Session final : public timing::Runnable {
 public:
  /// Builds the graph and runs it once, so that later runs do what is done each time and nothing else.
  ///
  /// @throws std::invalid_argument for contents that are missing or of the wrong size; std::runtime_error
  /// with XNNPACK's status for what it refuses.
  Session(std::shared_ptr<const Environment> environment, SessionSpec spec);

  void run() override;

  struct Output {
    std::string name;
    Shape shape;
    float* memory;
    std::span<const float> values;
  };
  /// What the last run left; the views live as long as the session and change with each run. Of outputs that
  /// share memory, all show what the last of them wrote.
  [[nodiscard]] std::vector<Output> outputs() const;
  [[nodiscard]] bool outputs_finite() const;

 private:
  struct Delete {
    const Api* api = nullptr;
    void operator()(XnnRuntime* runtime) const noexcept { api->delete_runtime(runtime); }
  };

  void fill(ValueSpec& value, const SessionSpec& spec);
  void bind(const ValueSpec& value, const SessionSpec& spec);
  void create_runtime(const SessionSpec& spec);
  void check_shape(const Output& output, std::uint32_t id) const;

  // Destroyed in reverse order: the runtime before the contents that it points at.
  std::shared_ptr<const Environment> environment_;
  std::map<std::string, Buffer> buffers_;
  std::vector<Output> outputs_;
  std::unique_ptr<XnnRuntime, Delete> runtime_;
};

}  // namespace lutra::xnnpack
