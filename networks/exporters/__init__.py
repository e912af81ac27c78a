"""Networks out of Lutra: to an ONNX model, and to a torch module that runs and trains."""

from .onnx import to_onnx
from .torch import to_torch

__all__ = ["to_onnx", "to_torch"]
