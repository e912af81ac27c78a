#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/activation.hpp"
#include "cpu/kernels/table.hpp"
#include "cpu/program_spec.hpp"

namespace lutra::cpu {

/// What a prepared step works on. All memory is fixed before the first run.
struct StepArgs {
  std::vector<const void*> inputs;  ///< nullptr for constants that were packed
  std::vector<void*> outputs;
  const float* packed = nullptr;
  float* workspace = nullptr;

  const float* in(size_t i) const { return static_cast<const float*>(inputs[i]); }
  /// nullptr where `i` names no input: how kernels take optional operands.
  const float* in(std::optional<size_t> i) const { return i ? in(*i) : nullptr; }
  template <class T>
  const T* in_as(size_t i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <class T>
  const T* in_as(std::optional<size_t> i) const {
    return i ? in_as<T>(*i) : nullptr;
  }
  template <class T>
  T* out_as(size_t i = 0) const {
    return static_cast<T*>(outputs[i]);
  }
  float* out(size_t i = 0) const { return static_cast<float*>(outputs[i]); }
};

/// Whether the first output may live where the first input does.
enum class Reuse {
  kNone,
  kInPlace,  ///< element i of the output depends on element i of the input alone: if the input dies here
  kView,     ///< the output is the input: always
};

/// A step whose shapes and attributes have been checked, and how to execute it.
struct Plan {
  std::function<void(const StepArgs&)> run;
  std::function<void(const StepArgs&)> reference;
  Reuse reuse = Reuse::kNone;
  int64_t workspace_floats = 0;
  int64_t packed_floats = 0;
  std::optional<size_t> packed_input;  ///< the constant that `pack` rearranges; `run` does not see it itself
  std::function<void(const void* raw, float* packed)> pack;
  int64_t id_limit = 0;  ///< for integer first inputs: ids lie in [0, id_limit)
};

/// One step while it is checked: access to shapes and attributes, with errors that name the step and the op.
class Step {
 public:
  Step(size_t index, const StepSpec& spec, std::vector<const TensorSpec*> inputs,
       std::vector<const TensorSpec*> outputs, const KernelTable& kernels);

  const KernelTable& kernels() const { return kernels_; }
  size_t input_count() const { return inputs_.size(); }
  size_t output_count() const { return outputs_.size(); }
  const Shape& input(size_t i = 0) const { return inputs_[i]->shape; }
  const Shape& output(size_t i = 0) const { return outputs_[i]->shape; }
  DType input_dtype(size_t i = 0) const { return inputs_[i]->dtype; }
  /// Whether the first input is 8-bit: ops that have an 8-bit form then take that.
  bool quantised() const { return !inputs_.empty() && input_dtype() == DType::kUint8; }
  DType output_dtype(size_t i = 0) const { return outputs_[i]->dtype; }
  const std::string& op() const { return spec_.op; }

  /// Throws std::invalid_argument: "step 3 (conv2d): <message>".
  [[noreturn]] void fail(const std::string& message) const;
  void expect(bool condition, const std::string& message) const {
    if (!condition) fail(message);
  }
  void expect_inputs(size_t least, size_t most) const;
  void expect_outputs(size_t count) const;
  void expect_rank(size_t input, size_t rank, std::string_view layout) const;
  void expect_input(size_t i, const Shape& shape, std::string_view what) const;
  void expect_output(const Shape& shape, size_t i = 0) const;
  /// All operands but integer input `integer_input` are float32.
  void expect_types(std::optional<size_t> integer_input = std::nullopt) const;
  /// The operands have these types, one for each input, and the only output `output`.
  void expect_types(const std::vector<DType>& inputs, DType output) const;
  void expect_constant(size_t i, std::string_view what) const;

  /// Attributes. A lone integer is repeated to `count`; for padding of images (count 4) two integers are
  /// repeated.
  std::vector<int64_t> ints(const std::string& name, std::vector<int64_t> fallback, size_t count = 0);
  int64_t integer(const std::string& name, int64_t fallback);
  bool flag(const std::string& name, bool fallback) { return integer(name, fallback ? 1 : 0) != 0; }
  double real(const std::string& name, double fallback);
  std::string text(const std::string& name, const std::string& fallback);
  /// An axis of the first input; negative counts from the end.
  size_t axis(int64_t fallback);
  size_t axis_of(int64_t value) const;
  Activation activation();
  bool has(const std::string& name) const { return spec_.attributes.contains(name); }
  /// Attributes of the catalogue that only repeat what the shapes say.
  void ignore(std::initializer_list<const char*> names) { known_.insert(names.begin(), names.end()); }
  /// To be called last: fails if an attribute was never asked for.
  void expect_no_other_attributes() const;

 private:
  void expect_type(const TensorSpec& tensor, DType wanted, const char* kind) const;
  const Attribute* find(const std::string& name);

  size_t index_;
  const StepSpec& spec_;
  std::vector<const TensorSpec*> inputs_;
  std::vector<const TensorSpec*> outputs_;
  const KernelTable& kernels_;
  std::set<std::string> known_;
};

/// The optional operands of convolutions and linear layers: a bias (rank 1) and a residual (shaped as the
/// output), both counted among the inputs.
struct FusedInputs {
  std::optional<size_t> bias;
  std::optional<size_t> residual;
};

/// Looks for them from input 2 on.
FusedInputs fused_inputs(const Step& step, int64_t channels);

}  // namespace lutra::cpu
