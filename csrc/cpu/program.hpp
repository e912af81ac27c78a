#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cpu/dispatch.hpp"
#include "cpu/graph.hpp"
#include "cpu/program_spec.hpp"
#include "timing/runnable.hpp"

namespace lutra::cpu {

/// A list of operations on tensors, ready to run.
///
/// Constants exist in `copies` sets with different content, packed for the kernels when the program is made;
/// one run executes all steps once per set. With enough copies the weights of each execution come from memory
/// rather than from the cache, as they do in a network. Intermediates share memory as their lifetimes allow;
/// running allocates nothing. Constants and inputs are random (see `fill_random`) until they are set.
class Program : public timing::Runnable {
 public:
  /// Throws std::invalid_argument, which names the step, the op and what is expected, where a shape, type,
  /// attribute or name does not fit, or where the program is too large.
  Program(const ProgramSpec& spec, int64_t copies, uint64_t seed, Isa isa = best_isa());

  /// `copies` executions.
  void run() override;
  /// One execution by the naive twins, with the constants of the last copy: the outputs are those of `run`.
  void run_reference();

  /// Copies `data` in. Throws std::invalid_argument where no such input exists or it has another shape or
  /// type.
  void set_input(std::string_view name, const Shape& shape, DType dtype, const void* data);
  /// Gives all copies this content and packs it again.
  void set_constant(std::string_view name, const Shape& shape, DType dtype, const void* data);

  struct View {
    const TensorSpec* spec;
    const void* data;
  };
  /// An output or input; valid until the next run.
  View tensor(std::string_view name) const;

  int64_t copies() const { return copies_; }
  /// Everything the program holds: constants of all copies, activations, workspace.
  int64_t peak_bytes() const { return peak_bytes_; }
  /// Inputs, outputs and the arena of the intermediates.
  int64_t activation_bytes() const { return activation_bytes_; }

 private:
  int64_t check_size(const IntermediateLayout& layout) const;
  void allocate_activations(const IntermediateLayout& layout);
  void fill_constant(size_t tensor, int64_t copy, void* data) const;
  void load_constant(size_t tensor);
  void connect();
  size_t tensor_with_role(std::string_view name, Role role, const Shape& shape, DType dtype) const;

  Graph graph_;
  int64_t copies_;
  uint64_t seed_;
  int64_t workspace_floats_ = 0;
  int64_t activation_bytes_ = 0;
  int64_t peak_bytes_ = 0;
  Buffer arena_;
  Buffer workspace_;
  std::vector<void*> activations_;              ///< by tensor; nullptr for constants
  std::vector<Buffer> activation_buffers_;      ///< of inputs and outputs, by tensor
  std::vector<std::vector<Buffer>> constants_;  ///< [copy][tensor]; empty where only packed content is needed
  std::vector<std::vector<Buffer>> packed_;     ///< [copy][step]
  std::vector<Buffer> given_;                   ///< by tensor: content that the caller has set
  std::vector<std::vector<StepArgs>> args_;     ///< [copy][step]
};

}  // namespace lutra::cpu
