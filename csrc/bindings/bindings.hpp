#pragma once

#include <pybind11/pybind11.h>

// One function per subject adds that subject's types to the module. `bind_timing` comes first: the base class
// Runnable must be registered before the classes that derive from it. All classes below Runnable use
// std::shared_ptr as their holder, as pybind11 requires of one hierarchy.

void bind_timing(pybind11::module_& module);
void bind_statistics(pybind11::module_& module);
void bind_ort(pybind11::module_& module);
void bind_xnnpack(pybind11::module_& module);
void bind_onednn(pybind11::module_& module);
void bind_gpu_sim(pybind11::module_& module);
void bind_mcu(pybind11::module_& module);
void bind_gpu(pybind11::module_& module);
void bind_cpu_sim(pybind11::module_& module);
#if LUTRA_HAVE_CPU
void bind_cpu(pybind11::module_& module);
#endif
