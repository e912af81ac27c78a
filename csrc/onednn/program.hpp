#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/tensor.hpp"
#include "onednn/step.hpp"
#include "timing/runnable.hpp"

namespace lutra::onednn {

/// A list of oneDNN primitives on float32 tensors, ready to run.
///
/// As in our own `cpu::Program`, constants exist in `copies` sets with different content, reordered into the
/// layouts that the primitives prefer when the program is made; one run executes all primitives once per set.
/// Intermediates share memory as their lifetimes allow; copies take turns with a few places for the outputs,
/// because in a network an output goes where other tensors were, not where it was a moment ago. Constants and
/// inputs are random until they are set.
class Program : public timing::Runnable {
 public:
  /// Beside oneDNN's primitives there is a step "view": its output is its input in another shape, both plain.
  /// A step whose attribute "residual" is "sum" writes over its last input.
  /// @throws std::invalid_argument, which names the op and its shapes, for what oneDNN does not implement, or
  /// where the program is too large; std::runtime_error as the library reports.
  Program(std::shared_ptr<const Environment> environment, std::vector<TensorSpec> tensors,
          const std::vector<StepSpec>& steps, std::int64_t copies, std::uint64_t seed);

  void run() override;

  /// Writes the inputs anew: in a network they were just written by whatever is in front.
  void before() override;

  /// Row-major content for an input. @throws std::invalid_argument for another name or shape.
  void set_input(std::string_view name, const Shape& shape, const float* data);
  /// Row-major content for all copies of a constant.
  void set_constant(std::string_view name, const Shape& shape, const float* data);

  struct Content {
    Shape shape;
    std::vector<float> values;  ///< row-major
  };
  [[nodiscard]] Content output(std::string_view name) const;

  [[nodiscard]] std::int64_t copies() const { return copies_; }
  /// What oneDNN calls the implementation of each primitive, in order ("brgconv:avx2").
  [[nodiscard]] const std::vector<std::string>& implementations() const { return implementations_; }

 private:
  struct Step {
    Primitive primitive;
    PlannedStep plan;
    std::vector<Memory> shared;                   ///< activations and scratchpad
    std::vector<std::vector<ExecArg>> arguments;  ///< [copy]
  };
  /// One constant as one step wants it.
  struct Packed {
    Desc plain;
    Desc wanted;
    std::vector<cpu::Buffer> buffers;  ///< [copy]
    std::vector<Memory> memories;      ///< [copy]
  };

  void number_tensors();
  void join_views(const std::vector<StepSpec>& steps);
  void plan(const std::vector<StepSpec>& steps);
  void place_activations();
  void place_constants();
  void connect();
  void pack(std::size_t tensor);
  void fill_inputs();
  [[nodiscard]] std::int64_t bytes_of(std::size_t tensor) const;
  [[nodiscard]] void* activation(std::size_t tensor, std::size_t copy) const;
  [[nodiscard]] std::size_t number_of(std::string_view name, Role role, const Shape& shape) const;
  void move(Desc from, void* source, Desc to, void* target) const;

  std::shared_ptr<const Environment> environment_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, std::size_t, std::less<>> numbers_;
  std::int64_t copies_;
  std::uint64_t seed_;
  std::vector<std::size_t> root_;  ///< the tensor whose memory each one shares
  /// By root, one or more places that the copies take turns with.
  std::vector<std::vector<void*>> activations_;
  std::map<std::size_t, std::vector<std::byte>> inputs_;  ///< what inputs hold in front of a sample
  std::vector<cpu::Buffer> buffers_;                      ///< of inputs, outputs and the arena
  cpu::Buffer scratchpad_;
  std::vector<std::vector<Packed>> constants_;       ///< by tensor, one for each step that reads it
  std::map<std::size_t, std::vector<float>> given_;  ///< constants that have been set
  std::vector<Step> steps_;
  std::vector<std::string> implementations_;
};

}  // namespace lutra::onednn
