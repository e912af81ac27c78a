"""NVIDIA GPUs: where their libraries are, which GPU there is, and what is missing to profile it."""

from .discovery import GpuReport, gpu_fingerprint, gpu_report
from .libraries import Library, find_libraries

__all__ = ["GpuReport", "Library", "find_libraries", "gpu_fingerprint", "gpu_report"]
