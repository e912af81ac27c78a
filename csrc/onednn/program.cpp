#include "onednn/program.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "cpu/content.hpp"
#include "cpu/planner.hpp"

namespace lutra::onednn {
namespace {

constexpr std::int64_t kMaxCopies = 1 << 16;
constexpr std::int64_t kOutputPlaces = 4;

std::int64_t checked(std::int64_t copies) {
  if (copies < 1 || copies > kMaxCopies)
    throw std::invalid_argument("copies must be 1 to " + std::to_string(kMaxCopies) + ", not " +
                                std::to_string(copies));
  return copies;
}

std::int64_t bytes_in(const Library& library, Desc desc) {
  return static_cast<std::int64_t>(library.api().memory_desc_get_size(desc));
}

Memory memory_at(const Environment& environment, Desc desc, void* data) {
  const Library& library = environment.library();
  return create<Memory>(library, "a memory", library.api().memory_create, desc, environment.engine(), data);
}

cpu::Buffer zeros(std::int64_t bytes) {
  cpu::Buffer buffer(bytes);
  if (bytes > 0) std::memset(buffer.data(), 0, static_cast<std::size_t>(bytes));
  return buffer;
}

std::string implementation_of(const Library& library, const PrimitiveDesc& primitive) {
  const char* name = nullptr;
  library.check(library.api().primitive_desc_query(primitive.get(), kImplInfo, 0, &name), "a query");
  return name;
}

/// Random content as our own kernels get it, so that both compute with the same numbers.
std::vector<float> random_values(const TensorSpec& tensor, std::uint64_t seed, std::int64_t copy) {
  std::vector<float> values(static_cast<std::size_t>(cpu::elements(tensor.shape)));
  cpu::fill_random({tensor.name, tensor.shape, cpu::DType::kFloat32, tensor.role}, seed, copy, 0,
                   values.data());
  return values;
}

}  // namespace

Program::Program(std::shared_ptr<const Environment> environment, std::vector<TensorSpec> tensors,
                 const std::vector<StepSpec>& steps, std::int64_t copies, std::uint64_t seed)
    : environment_(std::move(environment)),
      tensors_(std::move(tensors)),
      copies_(checked(copies)),
      seed_(seed) {
  environment_->enter();
  number_tensors();
  join_views(steps);
  plan(steps);
  place_activations();
  place_constants();
  connect();
  fill_inputs();
  for (std::size_t i = 0; i < tensors_.size(); ++i) pack(i);
}

void Program::run() {
  environment_->enter();
  const Library& library = environment_->library();
  const auto execute = library.api().primitive_execute;
  for (std::size_t copy = 0; copy < static_cast<std::size_t>(copies_); ++copy)
    for (const Step& step : steps_) {
      const std::vector<ExecArg>& arguments = step.arguments[copy];
      library.check(execute(step.primitive.get(), environment_->stream(), static_cast<int>(arguments.size()),
                            arguments.data()),
                    "a primitive");
    }
  library.check(library.api().stream_wait(environment_->stream()), "the stream");
}

void Program::before() {
  for (const auto& [tensor, content] : inputs_)
    std::memcpy(activation(tensor, 0), content.data(), content.size());
}

void Program::set_input(std::string_view name, const Shape& shape, const float* data) {
  const std::size_t tensor = number_of(name, Role::kInput, shape);
  const Library& library = environment_->library();
  const MemoryDesc plain = describe(library, shape, Layout::kPlain);
  const MemoryDesc own = describe(library, shape, tensors_[tensor].layout);
  std::vector<float> values(data, data + cpu::elements(shape));
  std::vector<std::byte>& content = inputs_[tensor];
  content.assign(static_cast<std::size_t>(bytes_of(tensor)), std::byte{0});
  move(plain.get(), values.data(), own.get(), content.data());
  before();
}

void Program::set_constant(std::string_view name, const Shape& shape, const float* data) {
  const std::size_t tensor = number_of(name, Role::kConstant, shape);
  given_[tensor].assign(data, data + cpu::elements(shape));
  pack(tensor);
}

Program::Content Program::output(std::string_view name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end() || tensors_[found->second].role != Role::kOutput)
    throw std::invalid_argument("the program has no output '" + std::string(name) + "'");
  const TensorSpec& tensor = tensors_[found->second];
  const Library& library = environment_->library();
  Content content{tensor.shape, std::vector<float>(static_cast<std::size_t>(cpu::elements(tensor.shape)))};
  const MemoryDesc own = describe(library, tensor.shape, tensor.layout);
  const MemoryDesc plain = describe(library, tensor.shape, Layout::kPlain);
  move(own.get(), activation(found->second, static_cast<std::size_t>(copies_ - 1)), plain.get(),
       content.values.data());
  return content;
}

void Program::number_tensors() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    cpu::checked_bytes(tensors_[i].shape, cpu::DType::kFloat32, tensors_[i].name);
    if (!numbers_.emplace(tensors_[i].name, i).second)
      throw std::invalid_argument("two tensors are called '" + tensors_[i].name + "'");
  }
}

// Outputs of views, and outputs that are written over a residual, share the memory of an input.
void Program::join_views(const std::vector<StepSpec>& steps) {
  root_.resize(tensors_.size());
  std::iota(root_.begin(), root_.end(), std::size_t{0});
  for (const StepSpec& spec : steps) {
    const StepContext context(*environment_, spec, tensors_, numbers_);
    if (spec.op == "view") {
      root_[context.output_number()] = root_[context.input_number(0)];
    } else if (context.text("residual") == "sum") {
      root_[context.output_number()] = root_[context.input_number(context.input_count() - 1)];
    }
  }
}

void Program::plan(const std::vector<StepSpec>& steps) {
  for (const StepSpec& spec : steps) {
    if (spec.op == "view") continue;
    const StepContext context(*environment_, spec, tensors_, numbers_);
    PlannedStep planned = plan_step(context, spec.op);
    const Library& library = environment_->library();
    implementations_.push_back(implementation_of(library, planned.primitive));
    Primitive primitive = create<Primitive>(library, context.what(), library.api().primitive_create,
                                            static_cast<const dnnl_primitive_desc*>(planned.primitive.get()));
    steps_.push_back({std::move(primitive), std::move(planned), {}, {}});
  }
}

std::int64_t Program::bytes_of(std::size_t tensor) const {
  const MemoryDesc desc = describe(environment_->library(), tensors_[tensor].shape, tensors_[tensor].layout);
  return bytes_in(environment_->library(), desc.get());
}

// Inputs and outputs, and what shares their memory, keep buffers of their own; the rest share one arena.
void Program::place_activations() {
  activations_.assign(tensors_.size(), {});
  std::vector<std::int64_t> bytes(tensors_.size(), 0);
  std::vector<bool> kept(tensors_.size(), false);
  std::vector<bool> fixed(tensors_.size(), false);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Role role = tensors_[i].role;
    if (role == Role::kConstant) continue;
    bytes[root_[i]] = std::max(bytes[root_[i]], bytes_of(i));
    if (role != Role::kIntermediate) kept[root_[i]] = true;
    if (role == Role::kInput) fixed[root_[i]] = true;
  }
  std::map<std::size_t, cpu::Lifetime> lifetimes;
  for (std::size_t step = 0; step < steps_.size(); ++step)
    for (const Operand& operand : steps_[step].plan.operands) {
      const std::size_t root = root_[operand.tensor];
      if (kept[root] || tensors_[root].role == Role::kConstant) continue;
      lifetimes.try_emplace(root, cpu::Lifetime{bytes[root], step, step}).first->second.last = step;
    }
  std::vector<cpu::Lifetime> blocks;
  for (const auto& entry : lifetimes) blocks.push_back(entry.second);
  const cpu::ArenaLayout arena = cpu::plan_arena(blocks);
  if (arena.bytes > cpu::kMaxProgramBytes)
    throw std::invalid_argument("the program's activations are too large");
  buffers_.push_back(zeros(arena.bytes));
  std::size_t block = 0;
  for (const auto& entry : lifetimes)
    activations_[entry.first] = {buffers_[0].data() + arena.offsets[block++]};
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (kept[i])
      for (std::int64_t place = 0; place < (fixed[i] ? 1 : std::min(copies_, kOutputPlaces)); ++place)
        activations_[i].push_back(buffers_.emplace_back(zeros(bytes[i])).data());
}

void* Program::activation(std::size_t tensor, std::size_t copy) const {
  const std::vector<void*>& places = activations_[root_[tensor]];
  return places[copy % places.size()];
}

void Program::place_constants() {
  const Library& library = environment_->library();
  constants_.resize(tensors_.size());
  std::int64_t total = 0;
  std::int64_t scratchpad = 0;
  for (const Step& step : steps_) {
    const Desc wanted =
        library.api().primitive_desc_query_md(step.plan.primitive.get(), kExecArgDesc, kScratchpad);
    scratchpad = std::max(scratchpad, bytes_in(library, wanted));
    for (const Operand& operand : step.plan.operands) {
      if (tensors_[operand.tensor].role != Role::kConstant) continue;
      total += bytes_in(library, operand.desc.get()) * copies_;
      if (total > cpu::kMaxProgramBytes)
        throw std::invalid_argument("the program needs more than " +
                                    std::to_string(cpu::kMaxProgramBytes >> 30) +
                                    " GiB: use fewer copies or smaller tensors");
      constants_[operand.tensor].push_back({operand.plain.get(), operand.desc.get(), {}, {}});
    }
  }
  scratchpad_ = cpu::Buffer(scratchpad);
  for (std::vector<Packed>& uses : constants_)
    for (Packed& use : uses)
      for (std::int64_t copy = 0; copy < copies_; ++copy) {
        cpu::Buffer& buffer = use.buffers.emplace_back(zeros(bytes_in(library, use.wanted)));
        use.memories.push_back(memory_at(*environment_, use.wanted, buffer.data()));
      }
}

// Fixes every argument that a run will use.
void Program::connect() {
  const Library& library = environment_->library();
  std::vector<std::size_t> next(tensors_.size(), 0);
  for (Step& step : steps_) {
    step.arguments.resize(static_cast<std::size_t>(copies_));
    const auto add = [&](int argument, Desc desc, const std::vector<void*>& places) {
      const std::size_t first = step.shared.size();
      for (void* const place : places) step.shared.push_back(memory_at(*environment_, desc, place));
      for (std::size_t copy = 0; copy < step.arguments.size(); ++copy)
        step.arguments[copy].push_back({argument, step.shared[first + copy % places.size()].get()});
    };
    for (const Operand& operand : step.plan.operands) {
      if (tensors_[operand.tensor].role == Role::kConstant) {
        const Packed& use = constants_[operand.tensor][next[operand.tensor]++];
        for (std::size_t copy = 0; copy < step.arguments.size(); ++copy)
          step.arguments[copy].push_back({operand.argument, use.memories[copy].get()});
      } else {
        add(operand.argument, operand.desc.get(), activations_[root_[operand.tensor]]);
      }
    }
    const Desc scratchpad =
        library.api().primitive_desc_query_md(step.plan.primitive.get(), kExecArgDesc, kScratchpad);
    if (bytes_in(library, scratchpad) > 0) add(kScratchpad, scratchpad, {scratchpad_.data()});
  }
}

// Brings all copies of a constant to their content, in every layout that is wanted.
void Program::pack(std::size_t tensor) {
  if (constants_[tensor].empty()) return;
  const auto given = given_.find(tensor);
  for (std::int64_t copy = 0; copy < copies_; ++copy) {
    std::vector<float> values =
        given == given_.end() ? random_values(tensors_[tensor], seed_, copy) : given->second;
    for (Packed& use : constants_[tensor])
      move(use.plain, values.data(), use.wanted, use.buffers[static_cast<std::size_t>(copy)].data());
  }
}

void Program::fill_inputs() {
  for (const TensorSpec& tensor : tensors_)
    if (tensor.role == Role::kInput)
      set_input(tensor.name, tensor.shape, random_values(tensor, seed_, 0).data());
}

std::size_t Program::number_of(std::string_view name, Role role, const Shape& shape) const {
  const auto found = numbers_.find(name);
  const std::string kind = role == Role::kInput ? "input" : "constant";
  if (found == numbers_.end() || tensors_[found->second].role != role)
    throw std::invalid_argument("the program has no " + kind + " '" + std::string(name) + "'");
  if (tensors_[found->second].shape != shape)
    throw std::invalid_argument(kind + " '" + std::string(name) + "' is " +
                                cpu::to_string(tensors_[found->second].shape) + ", not " +
                                cpu::to_string(shape));
  return found->second;
}

void Program::move(Desc from, void* source, Desc to, void* target) const {
  environment_->enter();
  const Library& library = environment_->library();
  const Api& api = library.api();
  dnnl_engine* const engine = environment_->engine();
  const auto desc = create<PrimitiveDesc>(library, "a reorder", api.reorder_primitive_desc_create, from,
                                          engine, to, engine, Attr{nullptr});
  const auto primitive = create<Primitive>(library, "a reorder", api.primitive_create,
                                           static_cast<const dnnl_primitive_desc*>(desc.get()));
  const Memory input = memory_at(*environment_, from, source);
  const Memory output = memory_at(*environment_, to, target);
  const ExecArg arguments[] = {{kSrc, input.get()}, {kDst, output.get()}};
  library.check(api.primitive_execute(primitive.get(), environment_->stream(), 2, arguments), "a reorder");
  library.check(api.stream_wait(environment_->stream()), "the stream");
}

}  // namespace lutra::onednn
