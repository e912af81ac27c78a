"""Networks out of Lutra: to an ONNX model, and to a torch module that runs and trains."""

from .onnx import to_onnx
from .onnx_qdq import to_onnx_int8
from .torch import to_torch

__all__ = ["to_onnx", "to_onnx_int8", "to_torch"]
