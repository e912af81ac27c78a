#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/program_spec.hpp"
#include "onednn/environment.hpp"
#include "onednn/layout.hpp"

namespace lutra::onednn {

using cpu::Role;
using cpu::StepSpec;

/// A float32 tensor of a program. Its name, shape and role are as for our own kernels.
struct TensorSpec {
  std::string name;
  Shape shape;
  Layout layout = Layout::kPlain;
  Role role = Role::kIntermediate;
};

/// A tensor as one argument of a primitive.
struct Operand {
  int argument;
  std::size_t tensor;
  MemoryDesc desc;        ///< what the primitive is given
  MemoryDesc plain = {};  ///< for constants: how their row-major content reads, of the same dimensions
};

/// One primitive and what it reads and writes.
struct PlannedStep {
  PrimitiveDesc primitive;
  std::vector<Operand> operands;
};

/// What the planning of one step looks at.
class StepContext {
 public:
  StepContext(const Environment& environment, const StepSpec& spec, const std::vector<TensorSpec>& tensors,
              const std::map<std::string, std::size_t, std::less<>>& numbers);

  [[nodiscard]] const Library& library() const { return environment_.library(); }
  [[nodiscard]] const Api& api() const { return library().api(); }
  [[nodiscard]] dnnl_engine* engine() const { return environment_.engine(); }
  /// The op and the shapes of its operands, for messages.
  [[nodiscard]] std::string what() const;

  [[nodiscard]] std::size_t input_count() const { return spec_.inputs.size(); }
  [[nodiscard]] std::size_t input_number(std::size_t index) const;
  [[nodiscard]] const TensorSpec& input(std::size_t index) const { return tensors_[input_number(index)]; }
  [[nodiscard]] std::size_t output_number() const;
  [[nodiscard]] const TensorSpec& output() const { return tensors_[output_number()]; }
  [[nodiscard]] MemoryDesc desc(const TensorSpec& tensor) const {
    return describe(library(), tensor.shape, tensor.layout);
  }
  /// The same tensor with its elements in row-major order, as the content of constants is given.
  [[nodiscard]] MemoryDesc plain(const TensorSpec& tensor) const {
    return describe(library(), tensor.shape, Layout::kPlain);
  }

  [[nodiscard]] std::int64_t integer(std::string_view name, std::optional<std::int64_t> otherwise = {}) const;
  [[nodiscard]] Shape integers(std::string_view name) const;
  [[nodiscard]] float number(std::string_view name, float otherwise) const;
  [[nodiscard]] std::string text(std::string_view name) const;  ///< "" where it is not given

 private:
  const cpu::Attribute* find(std::string_view name) const;
  std::size_t number_of(const std::string& name) const;

  const Environment& environment_;
  const StepSpec& spec_;
  const std::vector<TensorSpec>& tensors_;
  const std::map<std::string, std::size_t, std::less<>>& numbers_;
};

/// What a creating function of the library makes of `args` for the step's engine.
template <typename Function, typename... Args>
PrimitiveDesc primitive_desc(const StepContext& context, Function function, Args... args) {
  return create<PrimitiveDesc>(context.library(), context.what(), function, context.engine(), args...);
}

/// Attributes of a primitive: scratchpad memory is ours, and what is computed behind the op itself, in the
/// order scale ("scale": a factor), residual ("residual": "sum" adds to what is in the output's memory,
/// "binary" reads the last input), activation ("activation", with "alpha" and "beta").
class PostProcessing {
 public:
  /// @param residual how the residual reads, for "binary".
  PostProcessing(const StepContext& context, MemoryDesc residual = {});

  [[nodiscard]] Attr get() const { return attributes_.get(); }
  /// Appends the operand that a "binary" residual is.
  void add_operand(const StepContext& context, std::vector<Operand>& operands);

 private:
  Attributes attributes_;
  MemoryDesc residual_;
  int residual_argument_ = 0;
};

/// @throws std::invalid_argument for an unknown name.
Algorithm eltwise_named(std::string_view name);
Algorithm binary_named(std::string_view name);

/// Plans one step. @throws std::invalid_argument, which names the op and its shapes, where oneDNN has nothing
/// for it.
PlannedStep plan_step(const StepContext& context, std::string_view op);

/// The plans by subject; see `plan_step`.
using Plan = PlannedStep (*)(const StepContext&);
PlannedStep plan_convolution(const StepContext& context);
PlannedStep plan_deconvolution(const StepContext& context);
PlannedStep plan_inner_product(const StepContext& context);
PlannedStep plan_matmul(const StepContext& context);
PlannedStep plan_pooling(const StepContext& context);
PlannedStep plan_reduction(const StepContext& context);
PlannedStep plan_eltwise(const StepContext& context);
PlannedStep plan_binary(const StepContext& context);
PlannedStep plan_softmax(const StepContext& context);
PlannedStep plan_layer_normalization(const StepContext& context);
PlannedStep plan_batch_normalization(const StepContext& context);
PlannedStep plan_concat(const StepContext& context);
PlannedStep plan_reorder(const StepContext& context);
PlannedStep plan_transpose(const StepContext& context);
PlannedStep plan_slice(const StepContext& context);
PlannedStep plan_pad(const StepContext& context);
PlannedStep plan_resampling(const StepContext& context);
PlannedStep plan_shuffle(const StepContext& context);

}  // namespace lutra::onednn
