"""Runtimes: one file each. Third parties add theirs through the entry point group ``lutra.runtimes``."""

from . import cuda, native, null, onednn, onnxruntime, torch_compile, torch_eager, torch_gpu, xnnpack
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime, runtime_class, runtime_classes

__all__ = [
    "Overhead",
    "Prepared",
    "Runtime",
    "RuntimeInfo",
    "cuda",
    "native",
    "null",
    "onednn",
    "onnxruntime",
    "register_runtime",
    "runtime_class",
    "runtime_classes",
    "torch_compile",
    "torch_eager",
    "torch_gpu",
    "xnnpack",
]
