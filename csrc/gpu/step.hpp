#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/program_spec.hpp"
#include "gpu/blas.hpp"
#include "gpu/convolution.hpp"
#include "gpu/gpu.hpp"
#include "gpu/launches.hpp"

namespace lutra::gpu {

using cpu::Role;
using cpu::Shape;
using cpu::StepSpec;

/// What programs are made of: a GPU and the libraries for it. A missing library is null, with the reason.
struct Libraries {
  std::shared_ptr<const Gpu> gpu;
  std::shared_ptr<const Blas> blas;
  std::shared_ptr<const Dnn> dnn;
  std::string blas_missing;
  std::string dnn_missing;
};

struct TensorSpec {
  std::string name;
  Shape shape;
  Element element = Element::kFloat32;
  Role role = Role::kIntermediate;
};

/// How a constant's elements lie, against the catalogue's row-major order.
enum class Packing {
  kPlain,
  kChannelsLast,  ///< filters K x C x R x S as K x R x S x C
  kTapsFirst,     ///< filters K x 1 x R x S as R x S x K
  kInSteps,       ///< biases of int8, in steps of the activations
};

/// Where the operands of one step are in one of its runs.
struct Places {
  std::vector<cuda::Pointer> inputs;
  std::vector<cuda::Pointer> outputs;
  cuda::Pointer workspace = 0;
};

/// One operation of a program, ready to be put on the stream again and again.
class Step {
 public:
  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;

  virtual void enqueue(const Places& places) const = 0;
  [[nodiscard]] virtual std::size_t workspace_bytes() const { return 0; }
  /// What runs, as far as it can be told.
  [[nodiscard]] virtual std::string implementation() const { return "lutra"; }
  [[nodiscard]] virtual Packing packing(std::size_t input) const {
    static_cast<void>(input);
    return Packing::kPlain;
  }
};

/// What the making of one step looks at.
class StepContext {
 public:
  StepContext(const Libraries& libraries, const StepSpec& spec, const std::vector<TensorSpec>& tensors,
              const std::map<std::string, std::size_t, std::less<>>& numbers);

  [[nodiscard]] const Libraries& libraries() const { return libraries_; }
  [[nodiscard]] const Gpu& gpu() const { return *libraries_.gpu; }
  /// @throws std::runtime_error with the reason where it is missing.
  [[nodiscard]] const std::shared_ptr<const Blas>& blas() const;
  [[nodiscard]] const std::shared_ptr<const Dnn>& dnn() const;
  [[nodiscard]] Launches launches() const { return {gpu(), output().element}; }
  [[nodiscard]] const std::string& op() const { return spec_.op; }
  /// The op and the shapes of its operands, for messages.
  [[nodiscard]] std::string what() const;

  [[nodiscard]] std::size_t input_count() const { return spec_.inputs.size(); }
  [[nodiscard]] std::size_t output_count() const { return spec_.outputs.size(); }
  [[nodiscard]] const TensorSpec& input(std::size_t index) const;
  [[nodiscard]] const TensorSpec& output(std::size_t index = 0) const;

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] std::int64_t integer(std::string_view name, std::optional<std::int64_t> otherwise = {}) const;
  [[nodiscard]] Shape integers(std::string_view name) const;
  [[nodiscard]] float number(std::string_view name, float otherwise) const;
  [[nodiscard]] std::string text(std::string_view name) const;  ///< "" where it is not given
  /// An axis of `shape`, negative ones counted from the end.
  [[nodiscard]] std::size_t axis(std::string_view name, const Shape& shape) const;

  /// Images lie channels last.
  [[nodiscard]] bool channels_last() const { return text("layout") == "nhwc"; }
  [[nodiscard]] bool residual() const { return integer("residual", 0) != 0; }
  /// The fused activation; none where there is none.
  [[nodiscard]] Function activation() const;
  /// Strides of a dense tensor in the layout of the step.
  [[nodiscard]] Shape strides(const Shape& shape) const { return strides_of(shape, channels_last()); }
  [[nodiscard]] static Shape strides_of(const Shape& shape, bool channels_last);

 private:
  const cpu::Attribute* find(std::string_view name) const;
  [[nodiscard]] const TensorSpec& tensor(const std::string& name) const;

  const Libraries& libraries_;
  const StepSpec& spec_;
  const std::vector<TensorSpec>& tensors_;
  const std::map<std::string, std::size_t, std::less<>>& numbers_;
};

/// A step whose work is one function of its places.
template <typename Work>
class SimpleStep final : public Step {
 public:
  explicit SimpleStep(Work work) : work_(std::move(work)) {}
  void enqueue(const Places& places) const override { work_(places); }

 private:
  Work work_;
};

template <typename Work>
std::unique_ptr<Step> simple_step(Work work) {
  return std::make_unique<SimpleStep<Work>>(std::move(work));
}

/// Makes one step. @throws std::invalid_argument, which names the op and its shapes, where nothing runs it.
std::unique_ptr<Step> make_step(const StepContext& context);

/// By subject; see `make_step`.
std::unique_ptr<Step> make_convolution(const StepContext& context);
std::unique_ptr<Step> make_linear(const StepContext& context);
std::unique_ptr<Step> make_matmul(const StepContext& context);
std::unique_ptr<Step> make_attention(const StepContext& context);
std::unique_ptr<Step> make_pool(const StepContext& context);
std::unique_ptr<Step> make_depthwise(const StepContext& context);
std::unique_ptr<Step> make_upsample(const StepContext& context);
std::unique_ptr<Step> make_softmax(const StepContext& context);
std::unique_ptr<Step> make_norm(const StepContext& context);
std::unique_ptr<Step> make_reduction(const StepContext& context);
std::unique_ptr<Step> make_movement(const StepContext& context);
std::unique_ptr<Step> make_conversion(const StepContext& context);

/// The image that a window passes over, from the attributes of a convolution or of pooling; images of one
/// dimension are one row high.
Window window_of(const StepContext& context);

}  // namespace lutra::gpu
