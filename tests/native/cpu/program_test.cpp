// Programs: memory sharing, copies, and what is refused.

#include <algorithm>
#include <stdexcept>

#include "compare.hpp"
#include "cpu/graph.hpp"
#include "cpu/ops/registry.hpp"
#include "cpu/program.hpp"

using namespace lutra::cpu;
using namespace lutra::check;

namespace {

TensorSpec tensor(const std::string& name, const Shape& shape, Role role, DType dtype = DType::kFloat32) {
  return {name, shape, dtype, role};
}

using Ints = std::vector<int64_t>;

// An inverted bottleneck with squeeze-and-excite, so that views, in-place results and residuals all occur.
ProgramSpec small_network() {
  ProgramSpec spec;
  spec.tensors = {
      tensor("x", {2, 8, 9, 9}, Role::kInput),
      tensor("expand.w", {24, 8, 1, 1}, Role::kConstant),
      tensor("expand.b", {24}, Role::kConstant),
      tensor("expand", {2, 24, 9, 9}, Role::kIntermediate),
      tensor("depth.w", {24, 1, 3, 3}, Role::kConstant),
      tensor("depth", {2, 24, 9, 9}, Role::kIntermediate),
      tensor("act", {2, 24, 9, 9}, Role::kIntermediate),
      tensor("mean", {2, 24, 1, 1}, Role::kIntermediate),
      tensor("flat", {2, 24}, Role::kIntermediate),
      tensor("gate.w", {24, 24}, Role::kConstant),
      tensor("gate", {2, 24}, Role::kIntermediate),
      tensor("gate4", {2, 24, 1, 1}, Role::kIntermediate),
      tensor("scaled", {2, 24, 9, 9}, Role::kIntermediate),
      tensor("project.w", {8, 24, 1, 1}, Role::kConstant),
      tensor("y", {2, 8, 9, 9}, Role::kOutput),
  };
  spec.steps = {
      {"conv2d", {"x", "expand.w", "expand.b"}, {"expand"}, {{"activation", std::string("relu6")}}},
      {"conv2d", {"expand", "depth.w"}, {"depth"}, {{"padding", Ints{1}}, {"groups", Ints{24}}}},
      {"hard_swish", {"depth"}, {"act"}, {}},
      {"mean", {"act"}, {"mean"}, {{"axes", Ints{2, 3}}}},
      {"reshape", {"mean"}, {"flat"}, {}},
      {"linear", {"flat", "gate.w"}, {"gate"}, {{"activation", std::string("hard_sigmoid")}}},
      {"reshape", {"gate"}, {"gate4"}, {}},
      {"mul", {"act", "gate4"}, {"scaled"}, {}},
      {"conv2d", {"scaled", "project.w", "x"}, {"y"}, {}},
  };
  return spec;
}

std::vector<float> output_of(const Program& program, const std::string& name) {
  const Program::View view = program.tensor(name);
  const auto* data = static_cast<const float*>(view.data);
  return {data, data + elements(view.spec->shape)};
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

void test_run_agrees_with_reference() {
  for (const lutra::Isa isa : lutra::available_isas())
    for (const int64_t copies : {1, 3}) {
      Program program(small_network(), copies, 7, isa);
      program.run();
      const std::vector<float> fast = output_of(program, "y");
      program.run();
      CHECK(output_of(program, "y") == fast);  // nothing that a run needs is overwritten by it
      program.run_reference();
      CHECK(difference(fast, output_of(program, "y")) < 1e-4);
      CHECK(difference(fast, std::vector<float>(fast.size(), 0.0F)) > 0.1);
    }
}

void test_copies_differ_and_seeds_repeat() {
  const auto last_output = [](int64_t copies, uint64_t seed) {
    Program program(small_network(), copies, seed);
    program.run();
    return output_of(program, "y");
  };
  CHECK(last_output(1, 7) == last_output(1, 7));
  CHECK(last_output(1, 7) != last_output(2, 7));
  CHECK(last_output(1, 7) != last_output(1, 8));
  const Program one(small_network(), 1, 0);
  const Program four(small_network(), 4, 0);
  CHECK(four.peak_bytes() > one.peak_bytes());
  CHECK(four.activation_bytes() == one.activation_bytes());
}

void test_set_constant_reaches_all_copies() {
  Program program(small_network(), 2, 7);
  const std::vector<float> zeros(8 * 24, 0.0F);
  program.set_constant("project.w", {8, 24, 1, 1}, DType::kFloat32, zeros.data());
  const std::vector<float> x(2 * 8 * 81, 0.75F);
  program.set_input("x", {2, 8, 9, 9}, DType::kFloat32, x.data());
  program.run();
  CHECK(output_of(program, "y") == x);  // the residual alone is left
  program.run_reference();
  CHECK(output_of(program, "y") == x);
}

void test_memory_is_shared() {
  const Graph graph(small_network(), kernel_table(lutra::Isa::kBaseline));
  const IntermediateLayout layout = lay_out(graph);
  const auto block = [&](const char* name) { return layout.block_of[graph.find(name).value()]; };
  CHECK(block("depth") == block("act"));   // in place
  CHECK(block("mean") == block("flat"));   // a view
  CHECK(block("act") == block("scaled"));  // in place, after its last other reader
  CHECK(block("expand") != block("depth"));
  CHECK(block("x") == IntermediateLayout::kNone);
}

// A value that is read again later, under whatever name, is not overwritten in place.
void test_no_reuse_of_what_is_still_needed() {
  ProgramSpec spec;
  spec.tensors = {
      tensor("x", {4}, Role::kInput),
      tensor("a", {4}, Role::kIntermediate),
      tensor("view", {2, 2}, Role::kIntermediate),
      tensor("b", {2, 2}, Role::kIntermediate),
      tensor("b4", {4}, Role::kIntermediate),
      tensor("y", {4}, Role::kOutput),
  };
  spec.steps = {{"tanh", {"x"}, {"a"}, {}},
                {"reshape", {"a"}, {"view"}, {}},
                {"relu", {"view"}, {"b"}, {}},
                {"reshape", {"b"}, {"b4"}, {}},
                {"sub", {"a", "b4"}, {"y"}, {}}};
  Program program(spec, 1, 0);
  const std::vector<float> x{-1.0F, 0.5F, -0.25F, 2.0F};
  program.set_input("x", {4}, DType::kFloat32, x.data());
  program.run();
  const std::vector<float> y = output_of(program, "y");
  for (size_t i = 0; i < 4; ++i) CHECK_NEAR(y[i], std::min(std::tanh(x[i]), 0.0F), 1e-6F);
}

std::string refusal(const ProgramSpec& spec, int64_t copies = 1) {
  try {
    const Program program(spec, copies, 0);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

bool mentions(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  std::cerr << "'" << text << "' does not mention '" << part << "'\n";
  return false;
}

// The network with one thing changed.
template <class Change>
std::string refusal_after(Change change, int64_t copies = 1) {
  ProgramSpec spec = small_network();
  change(spec);
  return refusal(spec, copies);
}

void test_refused_steps() {
  const auto message = [](auto change) { return refusal_after(change); };
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[2].op = "swish"; }), "step 2 (swish): unknown op"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[0].inputs[1] = "w"; }),
                 "step 0 (conv2d): there is no tensor 'w'"));
  CHECK(mentions(message([](ProgramSpec& s) { s.tensors[1].shape = {24, 7, 1, 1}; }),
                 "step 0 (conv2d): weight 'expand.w' must be 24x8x1x1, not 24x7x1x1"));
  CHECK(mentions(message([](ProgramSpec& s) { s.tensors[3].shape = {2, 24, 9, 8}; }), "must be 2x24x9x9"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[1].attributes["groups"] = Ints{5}; }),
                 "step 1 (conv2d)"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[1].attributes["stride"] = Ints{0}; }), "'stride'"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[1].attributes["strides"] = Ints{1}; }),
                 "unknown attribute 'strides'"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[1].attributes["dilation"] = Ints{int64_t{1} << 62}; }),
                 "out of range"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[0].attributes["activation"] = std::string("selu"); }),
                 "unknown activation 'selu'"));
  CHECK(mentions(message([](ProgramSpec& s) { s.tensors[1].role = Role::kInput; }), "must be a constant"));
  CHECK(mentions(message([](ProgramSpec& s) { s.tensors[0].dtype = DType::kInt64; }),
                 "must be float32, not int64"));
  CHECK(mentions(message([](ProgramSpec& s) { s.steps[3].attributes["axes"] = Ints{4}; }),
                 "there is no axis 4"));
}

void test_refused_programs() {
  CHECK(mentions(refusal({}), "at least one step"));
  CHECK(mentions(refusal(small_network(), 0), "copies must be"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { s.tensors[0].shape[3] = 0; }),
                 "every dimension must be positive"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { s.tensors[0].shape = Shape(8, int64_t{1} << 20); }),
                 "larger than 4 GiB"));
  CHECK(
      mentions(refusal_after([](ProgramSpec& s) { s.tensors[1].name = "x"; }), "two tensors are called 'x'"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { std::swap(s.steps[0], s.steps[1]); }), "read before"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { s.steps[2].outputs[0] = "depth"; }), "written twice"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { s.steps[2].outputs[0] = "x"; }), "cannot be written"));
  CHECK(mentions(refusal_after([](ProgramSpec& s) { s.steps.pop_back(); }), "no step writes tensor 'y'"));
  CHECK(
      mentions(refusal_after(
                   [](ProgramSpec& s) { s.tensors.push_back(tensor("big", {1 << 29}, Role::kConstant)); }, 9),
               "more than 16 GiB"));
  CHECK_THROWS(std::invalid_argument, dtype_named("float16"));
  CHECK_THROWS(std::invalid_argument, role_named("weight"));
}

void test_refused_content() {
  Program program(small_network(), 1, 0);
  const std::vector<float> data(2 * 8 * 81, 0.0F);
  CHECK_THROWS(std::invalid_argument, program.set_input("z", {1}, DType::kFloat32, data.data()));
  CHECK_THROWS(std::invalid_argument, program.set_input("x", {2, 8, 81}, DType::kFloat32, data.data()));
  CHECK_THROWS(std::invalid_argument, program.set_input("x", {2, 8, 9, 9}, DType::kInt64, data.data()));
  CHECK_THROWS(std::invalid_argument,
               program.set_input("depth.w", {24, 1, 3, 3}, DType::kFloat32, data.data()));
  CHECK_THROWS(std::invalid_argument, program.tensor("act"));
}

void test_embedding_ids() {
  ProgramSpec spec;
  spec.tensors = {tensor("ids", {5}, Role::kInput, DType::kInt64), tensor("table", {3, 2}, Role::kConstant),
                  tensor("y", {5, 2}, Role::kOutput)};
  spec.steps = {{"embedding", {"ids", "table"}, {"y"}, {}}};
  Program program(spec, 2, 0);
  program.run();  // random ids are in range
  const std::vector<int64_t> ids{0, 1, 2, 3, 0};
  program.set_input("ids", {5}, DType::kInt64, ids.data());
  CHECK_THROWS(std::invalid_argument, program.run());
}

void test_registry() {
  const std::vector<std::string> ops = supported_ops();
  CHECK(std::is_sorted(ops.begin(), ops.end()));
  CHECK(std::adjacent_find(ops.begin(), ops.end()) == ops.end());
  CHECK(ops.size() >= 39);
}

}  // namespace

int main() {
  test_run_agrees_with_reference();
  test_copies_differ_and_seeds_repeat();
  test_set_constant_reaches_all_copies();
  test_memory_is_shared();
  test_no_reuse_of_what_is_still_needed();
  test_refused_steps();
  test_refused_programs();
  test_refused_content();
  test_embedding_ids();
  test_registry();
  return finish();
}
