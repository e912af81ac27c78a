#pragma once

#include <pybind11/pybind11.h>

// One function per subject adds that subject's types to the module.

void bind_costs(pybind11::module_& module);
void bind_index(pybind11::module_& module);
