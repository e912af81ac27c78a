#include "ort/session.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace lutra::ort {
namespace {

OrtAllocator* default_allocator(const Library& library) {
  OrtAllocator* allocator = nullptr;  // belongs to the library
  library.call<slot::GetAllocatorWithDefaultOptions>(&allocator);
  return allocator;
}

template <typename CountSlot, typename NameSlot>
std::vector<std::string> names(const Library& library, const OrtSession* session) {
  OrtAllocator* allocator = default_allocator(library);
  std::size_t count = 0;
  library.call<CountSlot>(session, &count);
  std::vector<std::string> result;
  for (std::size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    library.call<NameSlot>(session, i, allocator, &name);
    result.emplace_back(name);
    library.call<slot::AllocatorFree>(allocator, static_cast<void*>(name));
  }
  return result;
}

TensorSpec spec_of(const Library& library, const OrtTensorTypeAndShapeInfo* info) {
  TensorSpec spec;
  library.call<slot::GetTensorElementType>(info, &spec.type);
  std::size_t rank = 0;
  library.call<slot::GetDimensionsCount>(info, &rank);
  spec.shape.resize(rank);
  library.call<slot::GetDimensions>(info, spec.shape.data(), rank);
  return spec;
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "'" : ", '") + item + "'";
  return text.empty() ? "none" : text;
}

/// The tensors that the first run allocated, in the order of the outputs.
std::vector<Value> bound_outputs(const Library& library, const OrtIoBinding* binding) {
  OrtAllocator* allocator = default_allocator(library);
  OrtValue** values = nullptr;
  std::size_t count = 0;
  library.call<slot::GetBoundOutputValues>(binding, allocator, &values, &count);
  std::vector<Value> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i) result.emplace_back(library, values[i]);
  if (values != nullptr) library.call<slot::AllocatorFree>(allocator, static_cast<void*>(values));
  return result;
}

}  // namespace

Session::Session(std::shared_ptr<const Environment> environment, std::span<const std::byte> model,
                 const std::map<std::string, TensorView>& inputs, const SessionSettings& settings)
    : environment_(std::move(environment)),
      library_(environment_->library()),
      session_(load(model, settings)),
      run_options_(create<RunOptions, slot::CreateRunOptions>(library_)) {
  read_names();
  reject_unknown(inputs);
  binding_ = create<IoBinding, slot::CreateIoBinding>(library_, session_.get());
  std::mt19937_64 random(settings.seed);
  for (std::size_t i = 0; i < input_names_.size(); ++i) {
    const auto given = inputs.find(input_names_[i]);
    if (given != inputs.end()) {
      bind_given(given->first, given->second);
    } else {
      bind_random(i, random);
    }
  }
  bind_outputs_of_first_run();
}

void Session::run() {
  library_.call<slot::RunWithBinding>(session_.get(), static_cast<const OrtRunOptions*>(run_options_.get()),
                                      static_cast<const OrtIoBinding*>(binding_.get()));
}

void Session::before() {
  for (Input& input : inputs_)
    if (!input.content.empty())
      std::memcpy(input.buffer.bytes().data(), input.content.data(), input.content.size());
}

std::vector<Output> Session::outputs() const {
  std::vector<Output> result;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    OrtValue* value = outputs_[i].get();
    const auto info =
        create<TensorInfo, slot::GetTensorTypeAndShape>(library_, static_cast<const OrtValue*>(value));
    TensorSpec spec = spec_of(library_, info.get());
    void* data = nullptr;
    library_.call<slot::GetTensorMutableData>(value, &data);
    const std::size_t bytes = tensor_bytes(spec);
    result.push_back({output_names_[i], {std::move(spec), {static_cast<const std::byte*>(data), bytes}}});
  }
  return result;
}

bool Session::outputs_finite() const {
  const std::vector<Output> tensors = outputs();
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const Output& output) { return all_finite(output.tensor); });
}

SessionHandle Session::load(std::span<const std::byte> model, const SessionSettings& settings) const {
  const auto options = create<SessionOptionsHandle, slot::CreateSessionOptions>(library_);
  library_.call<slot::SetSessionGraphOptimizationLevel>(options.get(),
                                                        settings.optimize ? kOptimizeAll : kOptimizeNothing);
  if (environment_->threads() == 1) {
    library_.call<slot::SetIntraOpNumThreads>(options.get(), 1);
    library_.call<slot::SetInterOpNumThreads>(options.get(), 1);
  } else {
    library_.call<slot::DisablePerSessionThreads>(options.get());
  }
  library_.call<slot::AddSessionConfigEntry>(options.get(), "session.use_env_allocators", "1");
  for (const auto& [key, value] : settings.config)
    library_.call<slot::AddSessionConfigEntry>(options.get(), key.c_str(), value.c_str());
  return create<SessionHandle, slot::CreateSessionFromArray>(
      library_, static_cast<const OrtEnv*>(environment_->get()), static_cast<const void*>(model.data()),
      model.size(), static_cast<const OrtSessionOptions*>(options.get()));
}

void Session::read_names() {
  input_names_ = names<slot::SessionGetInputCount, slot::SessionGetInputName>(library_, session_.get());
  output_names_ = names<slot::SessionGetOutputCount, slot::SessionGetOutputName>(library_, session_.get());
}

void Session::reject_unknown(const std::map<std::string, TensorView>& inputs) const {
  for (const auto& input : inputs)
    if (std::find(input_names_.begin(), input_names_.end(), input.first) == input_names_.end())
      throw std::invalid_argument("the model has no input '" + input.first + "'; it has " +
                                  joined(input_names_));
}

TensorSpec Session::declared_input(std::size_t index) const {
  const auto type = create<TypeInfo, slot::SessionGetInputTypeInfo>(
      library_, static_cast<const OrtSession*>(session_.get()), index);
  const OrtTensorTypeAndShapeInfo* info = nullptr;  // belongs to `type`; stays null for what is no tensor
  library_.call<slot::CastTypeInfoToTensorInfo>(static_cast<const OrtTypeInfo*>(type.get()), &info);
  if (info == nullptr) throw std::invalid_argument("input '" + input_names_[index] + "' is not a tensor");
  return spec_of(library_, info);
}

void Session::bind_given(const std::string& name, const TensorView& given) {
  AlignedBuffer buffer(given.bytes.size());
  if (!given.bytes.empty()) std::memcpy(buffer.bytes().data(), given.bytes.data(), given.bytes.size());
  bind_input(name, given.spec, std::move(buffer));
}

void Session::bind_random(std::size_t index, std::mt19937_64& random) {
  const TensorSpec spec = declared_input(index);
  const std::string& name = input_names_[index];
  try {
    AlignedBuffer buffer(tensor_bytes(spec));
    fill_normal(spec.type, buffer.bytes(), random);
    bind_input(name, spec, std::move(buffer));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("input '" + name + "' must be given: " + error.what());
  }
}

void Session::bind_input(const std::string& name, const TensorSpec& spec, AlignedBuffer buffer) {
  const std::span<std::byte> bytes = buffer.bytes();
  auto value = create<Value, slot::CreateTensorWithDataAsOrtValue>(
      library_, environment_->memory(), static_cast<void*>(bytes.data()), bytes.size(), spec.shape.data(),
      spec.shape.size(), spec.type);
  library_.call<slot::BindInput>(binding_.get(), name.c_str(), static_cast<const OrtValue*>(value.get()));
  std::vector<std::byte> content(bytes.begin(), bytes.end());
  inputs_.push_back({std::move(buffer), std::move(content), std::move(value)});
}

void Session::bind_outputs_of_first_run() {
  for (const std::string& name : output_names_)
    library_.call<slot::BindOutputToDevice>(binding_.get(), name.c_str(), environment_->memory());
  run();
  outputs_ = bound_outputs(library_, binding_.get());
  slot::ClearBoundOutputs::of(library_.table())(binding_.get());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    int is_tensor = 0;
    library_.call<slot::IsTensor>(static_cast<const OrtValue*>(outputs_[i].get()), &is_tensor);
    if (is_tensor == 0) throw std::invalid_argument("output '" + output_names_[i] + "' is not a tensor");
    library_.call<slot::BindOutput>(binding_.get(), output_names_[i].c_str(),
                                    static_cast<const OrtValue*>(outputs_[i].get()));
  }
}

}  // namespace lutra::ort
