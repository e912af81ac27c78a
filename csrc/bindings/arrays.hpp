#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <span>
#include <vector>

/// A numpy array with a copy of the values: samples outlive the measurement they came from.
inline pybind11::array_t<std::int64_t> to_numpy(const std::vector<std::int64_t>& values) {
  return pybind11::array_t<std::int64_t>(static_cast<pybind11::ssize_t>(values.size()), values.data());
}

template <typename T>
using DenseArray = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

/// The elements of a dense array, whatever its shape. The array must outlive the span.
template <typename T>
std::span<const T> view(const DenseArray<T>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}
