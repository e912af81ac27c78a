#include "cpu/ops/blocked.hpp"

#include <string>

#include "cpu/kernels/reorder.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

bool is_blocked(Step& step) {
  const std::string layout = step.text("layout", "nchw");
  step.expect(layout == "nchw" || layout == "nchw8c",
              "attribute 'layout' must be nchw or nchw8c, not '" + layout + "'");
  return layout == "nchw8c";
}

Shape blocked_shape(const Shape& plain) {
  return {plain[0], channel_blocks(plain[1]), plain[2], plain[3], kChannelBlock};
}

Shape plain_shape(const Step& step, int64_t channels) {
  step.expect_rank(0, 5, "N x C/8 x H x W x 8");
  const Shape& x = step.input();
  step.expect(channels >= 1 && channels <= kMaxTensorBytes, "the number of channels is out of range");
  const Shape plain{x[0], channels, x[2], x[3]};
  step.expect(x == blocked_shape(plain),
              to_string(x) + " does not hold " + std::to_string(channels) + " channels");
  return plain;
}

void expect_listable(const Step& step, const Window2d& window) {
  try {
    checked_bytes({window.kernel_h, window.kernel_w, window.out_h, window.out_w}, DType::kFloat32,
                  "the list of inputs");
  } catch (const std::exception& error) {
    step.fail(error.what());
  }
}

namespace {

template <class T>
Plan reorder_plan(const ReorderShape& shape, bool blocked) {
  Plan plan;
  plan.run = [=](const StepArgs& args) {
    const T* x = args.in_as<T>(0);
    blocked ? to_blocks(shape, x, args.out_as<T>()) : from_blocks(shape, x, args.out_as<T>());
  };
  plan.reference = [=](const StepArgs& args) {
    const T* x = args.in_as<T>(0);
    blocked ? reference::to_blocks(shape, x, args.out_as<T>())
            : reference::from_blocks(shape, x, args.out_as<T>());
  };
  return plan;
}

/// x: float32 or uint8. Attributes: layout (of the output), channels.
Plan plan_reorder(Step& step) {
  step.expect_inputs(1, 1);
  const DType dtype = step.quantised() ? DType::kUint8 : DType::kFloat32;
  step.expect_types({dtype}, dtype);
  const bool blocked = is_blocked(step);
  const int64_t channels = step.integer("channels", 0);
  if (blocked) step.expect_rank(0, 4, "N x C x H x W");
  const Shape plain = blocked ? step.input() : plain_shape(step, channels);
  step.expect(plain[1] == channels, "attribute 'channels' does not agree with the input");
  step.expect_output(blocked ? blocked_shape(plain) : plain);
  const ReorderShape shape{plain[0], plain[1], plain[2] * plain[3]};
  return step.quantised() ? reorder_plan<uint8_t>(shape, blocked) : reorder_plan<float>(shape, blocked);
}

}  // namespace

std::vector<OpDefinition> blocked_ops() { return {{"reorder", &plan_reorder}}; }

}  // namespace lutra::cpu
