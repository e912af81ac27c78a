#include "cpu/kernels/movement.hpp"
#include "cpu/kernels/resize.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/reference/reference.hpp"

namespace lutra::cpu {

namespace {

/// Attributes: mode ("nearest", the default, or "bilinear"), size (optional: the shape of the output says the
/// same).
Plan plan_upsample(Step& step) {
  step.expect_inputs(1, 1);
  step.expect_outputs(1);
  step.expect_types();
  step.expect_rank(0, 4, "N x C x H x W");
  const Shape& x = step.input();
  const std::string mode = step.text("mode", "nearest");
  step.expect(mode == "nearest" || mode == "bilinear",
              "attribute 'mode' must be nearest or bilinear, not '" + mode + "'");
  step.expect(step.output().size() == 4, "the output must be N x C x H x W");
  const std::vector<int64_t> size{step.output()[2], step.output()[3]};
  step.expect(step.ints("size", size, 2) == size, "attribute 'size' does not agree with the output");
  step.expect_output({x[0], x[1], size[0], size[1]});
  const ResizeShape shape{.mode = mode == "nearest" ? ResizeMode::kNearest : ResizeMode::kBilinear,
                          .planes = x[0] * x[1],
                          .in_h = x[2],
                          .in_w = x[3],
                          .out_h = size[0],
                          .out_w = size[1]};
  const Resize2d resize(shape, step.kernels());
  Plan plan;
  plan.workspace_floats = resize.workspace_floats();
  plan.run = [resize](const StepArgs& args) { resize.run(args.in(0), args.out(), args.workspace); };
  plan.reference = [shape](const StepArgs& args) { reference::resize(shape, args.in(0), args.out()); };
  return plan;
}

/// Inputs: ids (int64, any shape) and a table (vocabulary x width).
Plan plan_embedding(Step& step) {
  step.expect_inputs(2, 2);
  step.expect_outputs(1);
  step.expect_types(0);
  step.expect_rank(1, 2, "vocabulary x width");
  step.ignore({"num_embeddings", "embedding_dim", "dtype"});
  const int64_t vocabulary = step.input(1)[0];
  const int64_t width = step.input(1)[1];
  Shape out = step.input(0);
  out.push_back(width);
  step.expect_output(out);
  const int64_t count = elements(step.input(0));
  const auto ids = [](const StepArgs& args) { return static_cast<const int64_t*>(args.inputs[0]); };
  Plan plan;
  plan.id_limit = vocabulary;
  plan.run = [=](const StepArgs& args) {
    embedding(ids(args), count, args.in(1), vocabulary, width, args.out());
  };
  plan.reference = [=](const StepArgs& args) {
    reference::embedding(ids(args), count, args.in(1), vocabulary, width, args.out());
  };
  return plan;
}

}  // namespace

std::vector<OpDefinition> sampling_ops() {
  return {{"embedding", &plan_embedding}, {"upsample", &plan_upsample}};
}

}  // namespace lutra::cpu
