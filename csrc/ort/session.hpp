#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ort/environment.hpp"
#include "ort/library.hpp"
#include "ort/tensor.hpp"
#include "timing/runnable.hpp"

namespace lutra::ort {

struct SessionSettings {
  /// Every graph optimisation, or none: a graph that already is the optimiser's output must not be changed
  /// again.
  bool optimize = true;
  std::uint64_t seed = 0;                     ///< For the inputs that are not given.
  std::map<std::string, std::string> config;  ///< Session configuration entries, by ONNX Runtime's own keys.
};

struct Output {
  std::string name;
  TensorView tensor;
};

/// A model with bound inputs and outputs; `run` is one inference that allocates nothing outside the arena.
class Session final : public timing::Runnable {
 public:
  /// Loads the model, binds its inputs and runs it once, which is how the outputs' shapes become known; their
  /// memory of that run is then bound, so that later runs write to the same place.
  ///
  /// Inputs that are not given are filled with random values if they are float32 or float64 of a known shape.
  ///
  /// @throws std::invalid_argument for inputs that the model does not have or that cannot be made up;
  /// std::runtime_error with the library's message for a model that cannot be loaded or run.
  Session(std::shared_ptr<const Environment> environment, std::span<const std::byte> model,
          const std::map<std::string, TensorView>& inputs, const SessionSettings& settings);

  void run() override;

  /// Writes the inputs anew: in a network they were just written by whatever is in front.
  void before() override;

  [[nodiscard]] const std::vector<std::string>& input_names() const { return input_names_; }
  [[nodiscard]] const std::vector<std::string>& output_names() const { return output_names_; }

  /// What the last run left; the views live as long as the session and change with each run.
  [[nodiscard]] std::vector<Output> outputs() const;
  [[nodiscard]] bool outputs_finite() const;

 private:
  struct Input {
    AlignedBuffer buffer;
    std::vector<std::byte> content;
    Value value;
  };

  [[nodiscard]] SessionHandle load(std::span<const std::byte> model, const SessionSettings& settings) const;
  void read_names();
  void reject_unknown(const std::map<std::string, TensorView>& inputs) const;
  [[nodiscard]] TensorSpec declared_input(std::size_t index) const;
  void bind_given(const std::string& name, const TensorView& given);
  void bind_random(std::size_t index, std::mt19937_64& random);
  void bind_input(const std::string& name, const TensorSpec& spec, AlignedBuffer buffer);
  void bind_outputs_of_first_run();

  // Destroyed in reverse order: what uses the session before it, the session before its environment.
  std::shared_ptr<const Environment> environment_;
  const Library& library_;
  SessionHandle session_;
  RunOptions run_options_;
  std::vector<std::string> input_names_;
  std::vector<std::string> output_names_;
  std::vector<Input> inputs_;
  std::vector<Value> outputs_;
  IoBinding binding_;
};

}  // namespace lutra::ort
