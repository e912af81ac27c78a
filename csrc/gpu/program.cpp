#include "gpu/program.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <utility>

#include "cpu/planner.hpp"
#include "gpu/content.hpp"

namespace lutra::gpu {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kMostCopies = 4096;

bool is_view(const StepSpec& spec) { return spec.op == "reshape"; }

/// The row-major order of a tensor's elements as they lie in memory: where each one is.
template <typename Visit>
void for_each_place(const Shape& shape, bool channels_last, Visit&& visit) {
  const std::int64_t count = cpu::elements(shape);
  if (!channels_last || shape.size() != 4) {
    for (std::int64_t i = 0; i < count; ++i) visit(i, i);
    return;
  }
  const std::int64_t channels = shape[1];
  const std::int64_t area = shape[2] * shape[3];
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t n = i / (channels * area);
    const std::int64_t c = i / area % channels;
    visit(i, (n * area + i % area) * channels + c);
  }
}

std::vector<float> laid_out(const std::vector<float>& values, const Shape& shape, bool channels_last) {
  std::vector<float> placed(values.size());
  for_each_place(shape, channels_last, [&](std::int64_t from, std::int64_t to) {
    placed[static_cast<std::size_t>(to)] = values[static_cast<std::size_t>(from)];
  });
  return placed;
}

std::vector<float> packed(const std::vector<float>& values, const Shape& shape, Packing packing) {
  if (packing == Packing::kPlain) return values;
  if (packing == Packing::kInSteps) {
    std::vector<float> counted(values.size());
    std::transform(values.begin(), values.end(), counted.begin(),
                   [](float value) { return value / kInt8Step; });
    return counted;
  }
  if (packing == Packing::kChannelsLast) return laid_out(values, shape, true);
  const auto filters = static_cast<std::size_t>(shape[0]);
  const std::size_t taps = values.size() / filters;
  std::vector<float> turned(values.size());
  for (std::size_t k = 0; k < filters; ++k)
    for (std::size_t tap = 0; tap < taps; ++tap) turned[tap * filters + k] = values[k * taps + tap];
  return turned;
}

}  // namespace

Program::Program(Libraries libraries, std::vector<TensorSpec> tensors, const std::vector<StepSpec>& steps,
                 std::int64_t copies, std::uint64_t seed)
    : libraries_(std::move(libraries)), tensors_(std::move(tensors)), copies_(copies), seed_(seed) {
  if (copies < 1 || copies > kMostCopies)
    throw std::invalid_argument("copies must be 1 to " + std::to_string(kMostCopies));
  gpu().enter();
  number_tensors();
  make_steps(steps);
  place(steps);
  place_constants();
  connect();
  fill();
}

void Program::number_tensors() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    static_cast<void>(cpu::checked_bytes(tensors_[i].shape, cpu::DType::kFloat32, tensors_[i].name));
    if (!numbers_.emplace(tensors_[i].name, i).second)
      throw std::invalid_argument("two tensors are called '" + tensors_[i].name + "'");
    root_.push_back(i);
  }
  channels_last_.resize(tensors_.size(), false);
  packing_.resize(tensors_.size(), Packing::kPlain);
}

std::size_t Program::bytes_of(std::size_t tensor) const {
  return static_cast<std::size_t>(cpu::elements(tensors_[tensor].shape)) *
         element_bytes(tensors_[tensor].element);
}

void Program::make_steps(const std::vector<StepSpec>& steps) {
  for (const StepSpec& spec : steps) {
    const StepContext context(libraries_, spec, tensors_, numbers_);
    if (is_view(spec)) {
      const std::size_t from = numbers_.find(spec.inputs.at(0))->second;
      const std::size_t to = numbers_.find(spec.outputs.at(0))->second;
      if (bytes_of(from) != bytes_of(to)) throw std::invalid_argument(context.what() + ": the sizes differ");
      root_[to] = root_[from];
      continue;
    }
    Entry& entry = steps_.emplace_back(Entry{make_step(context), {}, {}});
    for (const std::string& name : spec.inputs) entry.inputs.push_back(numbers_.find(name)->second);
    for (const std::string& name : spec.outputs) entry.outputs.push_back(numbers_.find(name)->second);
    for (std::size_t i = 0; i < entry.inputs.size(); ++i)
      if (tensors_[entry.inputs[i]].role == Role::kConstant)
        packing_[entry.inputs[i]] = entry.step->packing(i);
    if (spec.op == "embedding") index_limit_ = tensors_[entry.inputs.at(1)].shape.at(0);
    choose_layouts(spec);
  }
}

void Program::choose_layouts(const StepSpec& spec) {
  const auto layout = spec.attributes.find("layout");
  if (layout == spec.attributes.end()) return;
  const bool last = std::get<std::string>(layout->second) == "nhwc";
  const bool changes = spec.op == "relayout";
  for (const std::string& name : spec.inputs) {
    const std::size_t tensor = numbers_.find(name)->second;
    if (tensors_[tensor].role != Role::kConstant) channels_last_[tensor] = changes ? !last : last;
  }
  for (const std::string& name : spec.outputs) channels_last_[numbers_.find(name)->second] = last;
}

void Program::place(const std::vector<StepSpec>& steps) {
  static_cast<void>(steps);
  constexpr std::size_t kNever = static_cast<std::size_t>(-1);
  std::vector<cpu::Lifetime> blocks;
  std::vector<std::size_t> block_of(tensors_.size(), kNever);
  std::vector<bool> kept(tensors_.size(), false);  // roots with memory of their own
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (tensors_[i].role == Role::kInput || tensors_[i].role == Role::kOutput) kept[root_[i]] = true;
  for (std::size_t step = 0; step < steps_.size(); ++step)
    for (const auto* operands : {&steps_[step].inputs, &steps_[step].outputs})
      for (const std::size_t tensor : *operands) {
        const std::size_t root = root_[tensor];
        if (tensors_[root].role == Role::kConstant || kept[root]) continue;
        if (block_of[root] == kNever) {
          block_of[root] = blocks.size();
          const auto bytes = static_cast<std::int64_t>(bytes_of(root));
          blocks.push_back({(bytes + kAlignment - 1) / kAlignment * kAlignment, step, step});
        }
        blocks[block_of[root]].last = step;
      }
  const cpu::ArenaLayout layout = cpu::plan_arena(blocks);
  arena_ = Memory(libraries_.gpu, static_cast<std::size_t>(layout.bytes));
  bytes_ += arena_.bytes();
  activations_.assign(tensors_.size(), 0);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (root_[i] != i || tensors_[i].role == Role::kConstant) continue;
    if (kept[i]) {
      memories_[i].emplace_back(libraries_.gpu, bytes_of(i));
      bytes_ += bytes_of(i);
      activations_[i] = memories_[i][0].pointer();
    } else if (block_of[i] != kNever) {
      activations_[i] = arena_.pointer() + static_cast<cuda::Pointer>(layout.offsets[block_of[i]]);
    }
  }
  std::size_t scratch = 0;
  for (const Entry& entry : steps_) scratch = std::max(scratch, entry.step->workspace_bytes());
  workspace_ = Memory(libraries_.gpu, scratch);
  bytes_ += scratch;
}

void Program::place_constants() {
  std::size_t total = 0;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (tensors_[i].role == Role::kConstant && root_[i] == i)
      total += bytes_of(i) * static_cast<std::size_t>(copies_);
  if (const std::size_t free_bytes = gpu().free_bytes(); total > free_bytes)
    throw OutOfGpuMemory(total, free_bytes);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].role != Role::kConstant || root_[i] != i) continue;
    for (std::int64_t copy = 0; copy < copies_; ++copy)
      memories_[i].emplace_back(libraries_.gpu, bytes_of(i));
  }
  bytes_ += total;
}

void Program::fill() {
  for (const auto& [tensor, memory] : memories_) {
    static_cast<void>(memory);
    const TensorSpec& spec = tensors_[tensor];
    const auto count = static_cast<std::size_t>(cpu::elements(spec.shape));
    const std::uint64_t seed = seed_ + tensor;
    if (spec.element == Element::kInt64) {
      std::mt19937_64 random(seed);
      std::vector<std::int64_t> indices(count);
      for (std::int64_t& index : indices)
        index = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(index_limit_));
      set_indices(spec.name, spec.shape, indices.data());
    } else if (spec.role != Role::kConstant) {
      store(tensor, normal_numbers(count, 1.0F, seed));
    } else if (spec.shape.size() < 2) {
      store(tensor, positive_numbers(count, seed));
    } else {
      const std::int64_t fan_in = cpu::product(spec.shape, 1, spec.shape.size());
      store(tensor, normal_numbers(count, 1.0F / std::sqrt(static_cast<float>(fan_in)), seed));
    }
  }
}

void Program::connect() {
  places_.resize(static_cast<std::size_t>(copies_));
  for (std::size_t copy = 0; copy < places_.size(); ++copy) {
    const auto pointer = [&](std::size_t tensor) {
      const std::size_t root = root_[tensor];
      return tensors_[root].role == Role::kConstant ? memories_.at(root).at(copy).pointer()
                                                    : activations_[root];
    };
    for (const Entry& entry : steps_) {
      Places& places = places_[copy].emplace_back();
      for (const std::size_t tensor : entry.inputs) places.inputs.push_back(pointer(tensor));
      for (const std::size_t tensor : entry.outputs) places.outputs.push_back(pointer(tensor));
      places.workspace = workspace_.pointer();
    }
  }
}

void Program::enqueue(std::int64_t copy) const {
  const std::vector<Places>& places = places_.at(static_cast<std::size_t>(copy));
  for (std::size_t i = 0; i < steps_.size(); ++i) steps_[i].step->enqueue(places[i]);
}

std::size_t Program::number_of(std::string_view name, const Shape& shape) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end() || memories_.find(found->second) == memories_.end())
    throw std::invalid_argument("no tensor '" + std::string(name) + "' to write");
  if (tensors_[found->second].shape != shape)
    throw std::invalid_argument("'" + std::string(name) + "' is " +
                                cpu::to_string(tensors_[found->second].shape) + ", not " +
                                cpu::to_string(shape));
  return found->second;
}

void Program::store(std::size_t tensor, const std::vector<float>& values) {
  const TensorSpec& spec = tensors_[tensor];
  const bool constant = spec.role == Role::kConstant;
  const std::vector<float> placed = constant ? packed(values, spec.shape, packing_[tensor])
                                             : laid_out(values, spec.shape, channels_last_[tensor]);
  const std::vector<std::byte> bytes = encoded(placed, spec.element, unit_of(spec.element, constant));
  const std::vector<Memory>& sets = memories_.at(tensor);
  gpu().enter();
  gpu().upload(sets[0].pointer(), bytes.data(), bytes.size());
  for (std::size_t copy = 1; copy < sets.size(); ++copy)
    gpu().check(
        gpu().api().MemcpyDtoDAsync(sets[copy].pointer(), sets[0].pointer(), bytes.size(), gpu().stream()),
        "copying weights");
  gpu().synchronize();
}

void Program::set_input(std::string_view name, const Shape& shape, const float* data) {
  const std::size_t tensor = number_of(name, shape);
  store(tensor, {data, data + cpu::elements(shape)});
}

void Program::set_indices(std::string_view name, const Shape& shape, const std::int64_t* data) {
  const std::size_t tensor = number_of(name, shape);
  if (tensors_[tensor].element != Element::kInt64)
    throw std::invalid_argument("'" + std::string(name) + "' holds no indices");
  gpu().enter();
  gpu().upload(memories_.at(tensor)[0].pointer(), data, bytes_of(tensor));
}

void Program::set_constant(std::string_view name, const Shape& shape, const float* data) {
  set_input(name, shape, data);
}

Program::Content Program::content(std::string_view name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end() || memories_.find(root_[found->second]) == memories_.end())
    throw std::invalid_argument("no tensor '" + std::string(name) + "' to read");
  const std::size_t tensor = found->second;
  const TensorSpec& spec = tensors_[tensor];
  std::vector<std::byte> bytes(bytes_of(tensor));
  gpu().enter();
  gpu().synchronize();
  gpu().download(bytes.data(), memories_.at(root_[tensor])[0].pointer(), bytes.size());
  const bool constant = tensors_[root_[tensor]].role == Role::kConstant;
  const std::vector<float> placed = decoded(bytes, spec.element, unit_of(spec.element, constant));
  Content content{spec.shape, std::vector<float>(placed.size())};
  for_each_place(spec.shape, channels_last_[tensor], [&](std::int64_t to, std::int64_t from) {
    content.values[static_cast<std::size_t>(to)] = placed[static_cast<std::size_t>(from)];
  });
  return content;
}

std::vector<std::string> Program::implementations() const {
  std::vector<std::string> names;
  for (const Entry& entry : steps_) names.push_back(entry.step->implementation());
  return names;
}

}  // namespace lutra::gpu
