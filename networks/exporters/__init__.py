"""Networks out of Lutra: to an ONNX model, to a torch module that runs and trains, and to its source code."""

from .onnx import to_onnx
from .onnx_qdq import to_onnx_int8
from .torch import to_torch
from .torch_code import to_torch_code

__all__ = ["to_onnx", "to_onnx_int8", "to_torch", "to_torch_code"]
