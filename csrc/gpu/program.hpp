#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/step.hpp"

namespace lutra::gpu {

/// A list of operations on a GPU, ready to be put on its stream.
///
/// As in our own `cpu::Program`, constants exist in `copies` sets, which have places of their own, so that
/// their uses take turns; all sets hold the same numbers, because a GPU does not care. Intermediates share
/// memory as their lifetimes allow. Inputs and constants are random (normal) until they are set.
class Program {
 public:
  /// Beside the catalogue's ops there are "relayout" and "reshape", whose output is its input under another
  /// shape.
  /// @throws std::invalid_argument, which names the op and its shapes, for what nothing here runs;
  /// OutOfGpuMemory; std::runtime_error for a library that is missing.
  Program(Libraries libraries, std::vector<TensorSpec> tensors, const std::vector<StepSpec>& steps,
          std::int64_t copies, std::uint64_t seed);

  [[nodiscard]] const Gpu& gpu() const { return *libraries_.gpu; }
  [[nodiscard]] std::int64_t copies() const { return copies_; }
  [[nodiscard]] std::size_t step_count() const { return steps_.size(); }
  /// Memory that all of it takes.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Puts all steps on the stream, on one set of constants.
  void enqueue(std::int64_t copy) const;

  /// Row-major content for an input. @throws std::invalid_argument for another name or shape.
  void set_input(std::string_view name, const Shape& shape, const float* data);
  void set_indices(std::string_view name, const Shape& shape, const std::int64_t* data);
  /// Row-major content for all copies of a constant.
  void set_constant(std::string_view name, const Shape& shape, const float* data);

  struct Content {
    Shape shape;
    std::vector<float> values;  ///< row-major
  };
  /// What is in a tensor that is no intermediate, of the last run. @throws std::invalid_argument.
  [[nodiscard]] Content content(std::string_view name) const;

  /// What runs each step, in order.
  [[nodiscard]] std::vector<std::string> implementations() const;

 private:
  struct Entry {
    std::unique_ptr<Step> step;
    std::vector<std::size_t> inputs;
    std::vector<std::size_t> outputs;
  };

  void number_tensors();
  void make_steps(const std::vector<StepSpec>& steps);
  void choose_layouts(const StepSpec& spec);
  void place(const std::vector<StepSpec>& steps);
  void place_constants();
  void fill();
  void connect();
  [[nodiscard]] std::size_t bytes_of(std::size_t tensor) const;
  [[nodiscard]] std::size_t number_of(std::string_view name, const Shape& shape) const;
  void store(std::size_t tensor, const std::vector<float>& values);

  Libraries libraries_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, std::size_t, std::less<>> numbers_;
  std::int64_t copies_;
  std::uint64_t seed_;
  std::vector<std::size_t> root_;    ///< the tensor whose memory each one shares
  std::vector<bool> channels_last_;  ///< how inputs and outputs lie
  std::vector<Packing> packing_;     ///< of constants
  std::vector<Entry> steps_;
  std::int64_t index_limit_ = 1;                         ///< indices are below it
  std::map<std::size_t, std::vector<Memory>> memories_;  ///< of inputs, outputs and constants, [copy]
  Memory arena_;
  Memory workspace_;
  std::vector<cuda::Pointer> activations_;
  std::vector<std::vector<Places>> places_;  ///< [copy][step]
  std::size_t bytes_ = 0;
};

}  // namespace lutra::gpu
