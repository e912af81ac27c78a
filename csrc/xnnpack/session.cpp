#include "xnnpack/session.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

namespace lutra::xnnpack {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t elements(const Shape& shape) {
  std::size_t count = 1;
  for (const std::size_t dim : shape) count *= dim;
  return count;
}

std::string text_of(const Shape& shape) {
  std::string text = "[";
  for (const std::size_t dim : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + "]";
}

}  // namespace

Buffer::Buffer(std::size_t size) : size_(size) {
  const std::size_t bytes = size * sizeof(float) + kExtraBytes;
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, rounded)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, rounded);
}

Session::Session(std::shared_ptr<const Environment> environment, SessionSpec spec)
    : environment_(std::move(environment)), runtime_(nullptr, Delete{&environment_->library().api()}) {
  for (ValueSpec& value : spec.graph.values) {
    if (value.role == Role::kInput || value.role == Role::kConstant) fill(value, spec);
    if (value.role == Role::kOutput) bind(value, spec);
  }
  create_runtime(spec);
  run();
}

void Session::run() {
  const Library& library = environment_->library();
  library.check(library.api().invoke_runtime(runtime_.get()), "xnn_invoke_runtime");
}

std::vector<Session::Output> Session::outputs() const { return outputs_; }

bool Session::outputs_finite() const {
  return std::all_of(outputs_.begin(), outputs_.end(), [](const Output& output) {
    return std::all_of(output.values.begin(), output.values.end(), [](float v) { return std::isfinite(v); });
  });
}

void Session::fill(ValueSpec& value, const SessionSpec& spec) {
  const auto given = spec.contents.find(value.name);
  if (given == spec.contents.end())
    throw std::invalid_argument("value '" + value.name + "' needs its content");
  if (given->second.size() != elements(value.shape))
    throw std::invalid_argument("value '" + value.name + "' has " + std::to_string(elements(value.shape)) +
                                " elements, not " + std::to_string(given->second.size()));
  const Buffer& buffer = buffers_.emplace(value.name, elements(value.shape)).first->second;
  std::copy(given->second.begin(), given->second.end(), buffer.data());
  if (value.role == Role::kConstant) value.data = buffer.data();
}

void Session::bind(const ValueSpec& value, const SessionSpec& spec) {
  const auto shared = spec.memory_of_outputs.find(value.name);
  const std::string name = "out:" + (shared == spec.memory_of_outputs.end() ? value.name : shared->second);
  const std::size_t size = elements(value.shape);
  const Buffer& buffer = buffers_.try_emplace(name, size).first->second;
  if (buffer.values().size() != size)
    throw std::invalid_argument("output '" + value.name + "' cannot share memory of another size");
  outputs_.push_back({value.name, value.shape, buffer.data(), buffer.values()});
}

/// XNNPACK works the shapes of outputs out by itself, and would write past a buffer that is too small.
void Session::check_shape(const Output& output, std::uint32_t id) const {
  const Library& library = environment_->library();
  Shape shape(kMaxRank);
  std::size_t rank = 0;
  library.check(library.api().get_external_value_shape(runtime_.get(), id, &rank, shape.data()),
                "xnn_get_external_value_shape");
  shape.resize(rank);
  if (shape != output.shape)
    throw std::invalid_argument("output '" + output.name + "' is " + text_of(output.shape) +
                                ", but XNNPACK makes it " + text_of(shape));
}

void Session::create_runtime(const SessionSpec& spec) {
  const Library& library = environment_->library();
  const Graph graph(library, spec.graph);
  XnnRuntime* runtime = nullptr;
  library.check(library.api().create_runtime(graph.get(), environment_->pool(), 0, &runtime),
                "xnn_create_runtime_v2");
  runtime_.reset(runtime);
  library.check(library.api().reshape_runtime(runtime), "xnn_reshape_runtime");
  for (const Output& output : outputs_) check_shape(output, graph.id(output.name));
  std::vector<ExternalValue> externals;
  for (const ValueSpec& value : spec.graph.values)
    if (value.role == Role::kInput)
      externals.push_back({graph.id(value.name), buffers_.at(value.name).data()});
  for (const Output& output : outputs_) externals.push_back({graph.id(output.name), output.memory});
  library.check(library.api().setup_runtime(runtime, externals.size(), externals.data()),
                "xnn_setup_runtime_v2");
}

}  // namespace lutra::xnnpack
