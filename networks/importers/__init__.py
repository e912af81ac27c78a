"""Networks into Lutra: from ONNX models and from torch modules."""

from .onnx import from_onnx
from .result import Imported, ImportReport, TensorSource
from .torch import from_torch

__all__ = ["ImportReport", "Imported", "TensorSource", "from_onnx", "from_torch"]
