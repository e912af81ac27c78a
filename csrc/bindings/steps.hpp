#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "cpu/program_spec.hpp"

/// A step of a program as Python gives it: op, inputs, outputs, attributes.
using StepTuple = std::tuple<std::string, std::vector<std::string>, std::vector<std::string>, pybind11::dict>;

inline lutra::cpu::Attribute attribute_of(const pybind11::handle& value) {
  if (pybind11::isinstance<pybind11::str>(value)) return value.cast<std::string>();
  if (pybind11::isinstance<pybind11::float_>(value)) return value.cast<double>();
  if (pybind11::isinstance<pybind11::int_>(value))
    return std::vector<std::int64_t>{value.cast<std::int64_t>()};
  return value.cast<std::vector<std::int64_t>>();
}

inline std::vector<lutra::cpu::StepSpec> steps_of(const std::vector<StepTuple>& given) {
  std::vector<lutra::cpu::StepSpec> steps;
  for (const auto& [op, inputs, outputs, attributes] : given) {
    lutra::cpu::StepSpec& step = steps.emplace_back(lutra::cpu::StepSpec{op, inputs, outputs, {}});
    for (const auto& [key, value] : attributes)
      step.attributes[key.cast<std::string>()] = attribute_of(value);
  }
  return steps;
}
