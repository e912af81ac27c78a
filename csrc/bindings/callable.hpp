#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "timing/runnable.hpp"

/// Times a Python callable. Taking the GIL is part of the sample; an empty callable, timed as well, tells how
/// much that is.
class CallableRunnable final : public lutra::timing::Runnable {
 public:
  CallableRunnable(pybind11::function run, std::optional<pybind11::function> before)
      : run_(std::move(run)), before_(std::move(before)) {}

  // The last owner may be a C++ thread that does not hold the GIL.
  ~CallableRunnable() override {
    const pybind11::gil_scoped_acquire acquired;
    run_.release().dec_ref();
    if (before_) before_->release().dec_ref();
  }

  void run() override { call(run_); }
  void before() override {
    if (before_) call(*before_);
  }

 private:
  /// What Python raises becomes an exception that is safe to handle without the GIL; what ends a measurement
  /// (`_native.Fatal` and its subclasses) still does.
  static void call(const pybind11::function& function) {
    const pybind11::gil_scoped_acquire acquired;
    try {
      function();
    } catch (const pybind11::error_already_set& error) {
      const auto fatal = pybind11::module_::import("lutra.profiler._native").attr("Fatal");
      if (error.matches(fatal)) throw lutra::timing::Fatal(pybind11::str(error.value()).cast<std::string>());
      throw std::runtime_error(error.what());
    }
  }

  pybind11::function run_;
  std::optional<pybind11::function> before_;
};
