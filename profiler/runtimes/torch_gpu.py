"""Torch on an NVIDIA GPU, operator by operator or captured in a CUDA graph.

A kernel's sample is a row of calls between two events. Launched one by one, a call costs what is longer, the host's
dispatch or the GPU's work, as it does within a network; captured in a graph, it costs the GPU's work. Only the worker
process imports torch.
"""

import importlib.metadata
from collections.abc import Iterator
from typing import ClassVar

from ...networks import Network
from ...networks.errors import MissingDependencyError
from ...networks.lowering import Kernel
from ...networks.lowering.cuda import MATH
from ...networks.lowering.torch_gpu import EAGER, GRAPH
from .._native import gpu
from ..copies import Rotation
from ..nvidia.discovery import gpu_report
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime
from .cuda import ROTATION


class TorchOnGpu(Runtime):
    """What both ways have in common.

    Raises:
        MissingDependencyError: this torch has no GPU.
    """

    device = "cuda"
    extra = "learn"
    precisions = tuple(MATH)
    max_threads = 1
    rotation: ClassVar[Rotation] = ROTATION
    silence_timeout_s = 300.0
    captured: ClassVar[bool]

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        import torch

        from .torch_gpu_replay import GpuTorch

        if not torch.cuda.is_available():
            raise MissingDependencyError("a torch with CUDA", "learn", "torch on a GPU")
        self.clock = gpu.DeviceClock()
        self._torch = GpuTorch("cuda", precision, captured=self.captured, clock=self.clock)

    @classmethod
    def info(cls) -> RuntimeInfo:
        report, version = gpu_report(), _cuda_torch()
        note = f"{cls.__doc__.splitlines()[0].rstrip('.')}, {report.name}" if cls.__doc__ else ""
        if report.device is None:
            note = report.problems[0]
        elif not version:
            note = "the installed torch has no CUDA; install it from PyTorch's CUDA wheel index"
        available = report.device is not None and bool(version)
        return RuntimeInfo(cls.name, cls.kind, available, version if available else "", note)

    def describe(self) -> dict[str, str]:
        import torch

        return {
            "torch": str(torch.__version__),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        }

    def require_memory(self, kernel: Kernel, copies: int) -> None:
        """Nothing: what is too large for the GPU is told when it is allocated there."""

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        return self._torch.kernel(kernel, copies, seed)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # torch runs modules, not files
        return self._torch.network(network, seed)

    def overheads(self) -> Iterator[Overhead]:
        yield Overhead("run", "two events with next to nothing between them", self._torch.nothing())


@register_runtime
class EagerTorchOnGpu(TorchOnGpu):
    """PyTorch on a GPU, operator by operator."""

    name = EAGER
    captured = False


@register_runtime
class CapturedTorchOnGpu(TorchOnGpu):
    """PyTorch on a GPU, captured in a CUDA graph."""

    name = GRAPH
    captured = True


def _cuda_torch() -> str:
    """Version of the installed torch where it was built with CUDA; "" otherwise. Torch is not imported."""
    try:
        requires = importlib.metadata.requires("torch") or []
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""
    built = "+cu" in version or any(name.startswith(("nvidia-", "cuda-")) for name in requires)
    return version if built and "+cpu" not in version else ""
