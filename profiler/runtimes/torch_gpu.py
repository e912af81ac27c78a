"""Torch on an NVIDIA GPU: operator by operator, captured in a CUDA graph, or compiled and captured.

A kernel's sample is a row of calls between two events. Launched one by one, a call costs what is longer, the host's
dispatch or the GPU's work, as it does within a network; captured in a graph, it costs the GPU's work. Compiled kernels
are always captured: each of them would otherwise pay for the entry into compiled code, which a whole network pays for
once. Only the worker process imports torch.
"""

import importlib.metadata
import re
from collections.abc import Iterator
from typing import ClassVar

from ...networks import Network
from ...networks.errors import MissingDependencyError, NotSupportedError
from ...networks.lowering import Kernel
from ...networks.lowering.cuda import MATH
from ...networks.lowering.torch_gpu import COMPILED, EAGER, GRAPH
from .._native import gpu
from ..copies import Rotation
from ..nvidia.discovery import gpu_report
from ..nvidia.libraries import NEWEST
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime
from .cuda import ROTATION

COMPILE_MODE = "default"
"""The mode of torch.compile. The others add CUDA graphs, which we capture ourselves, or a search for faster kernels."""


class TorchOnGpu(Runtime):
    """What all ways have in common.

    Raises:
        MissingDependencyError: this torch has no GPU.
        NotSupportedError: the driver is older than what this torch was built for.
    """

    device = "cuda"
    extra = "learn"
    precisions = tuple(MATH)
    max_threads = 1
    rotation: ClassVar[Rotation] = ROTATION
    silence_timeout_s = 300.0
    captured: ClassVar[bool]
    compiled: ClassVar[bool] = False
    mode: ClassVar[str]
    """How torch runs, for the record."""

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        import torch

        from .torch_gpu_replay import GpuTorch

        if torch.version.cuda and (old := _too_old(_major(str(torch.version.cuda)))):
            raise NotSupportedError(old, hint="see lutra doctor")
        if not torch.cuda.is_available():
            raise MissingDependencyError("a torch with CUDA", "learn", "torch on a GPU")
        self.clock = gpu.DeviceClock()
        self._torch = GpuTorch("cuda", precision, captured=self.captured, compiled=self.compiled, clock=self.clock)

    @classmethod
    def info(cls) -> RuntimeInfo:
        report, (version, major) = gpu_report(), _cuda_torch()
        note = f"{cls.__doc__.splitlines()[0].rstrip('.')}, {report.name}" if cls.__doc__ else ""
        missing = ""
        if report.device is None:
            missing = report.problems[0]
        elif not version:
            missing = "the installed torch has no CUDA; install it from PyTorch's CUDA wheel index"
        missing = missing or _too_old(major) or cls._lacks()
        return RuntimeInfo(cls.name, cls.kind, not missing, "" if missing else version, missing or note)

    @classmethod
    def _lacks(cls) -> str:
        """What is missing beside torch, and what to install; "" where nothing is."""
        return ""

    def describe(self) -> dict[str, str]:
        import torch

        return {
            "mode": self.mode,
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
    mode = "eager"


@register_runtime
class CapturedTorchOnGpu(TorchOnGpu):
    """PyTorch on a GPU, captured in a CUDA graph."""

    name = GRAPH
    captured = True
    mode = "eager, in a CUDA graph"


@register_runtime
class CompiledTorchOnGpu(TorchOnGpu):
    """PyTorch on a GPU, through torch.compile, captured in a CUDA graph."""

    name = COMPILED
    captured = True
    compiled = True
    mode = f"torch.compile, mode {COMPILE_MODE}, full graph, in a CUDA graph"
    silence_timeout_s = 900.0  # a large network is compiled for minutes

    @classmethod
    def device_version(cls) -> str:
        """Of torch and of what it compiles with: both decide which kernels run."""
        return f"{super().device_version()}, triton {_version_of('triton')}, mode {COMPILE_MODE}"

    @classmethod
    def _lacks(cls) -> str:
        return "" if _version_of("triton") else "torch.compile needs triton on a GPU: pip install triton"


def _version_of(package: str) -> str:
    """Of an installed package; "" where it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cuda_torch() -> tuple[str, int]:
    """Version of the installed torch and the major version of its CUDA; "" and 0 without. Torch is not imported."""
    version = _version_of("torch")
    requires = importlib.metadata.requires("torch") or [] if version else []
    built = re.search(r"\+cu(\d{2})", version)
    theirs = [name for name in requires if name.startswith(("nvidia-", "cuda-"))]
    if "+cpu" in version or not (built or theirs):
        return "", 0
    if built:
        return version, int(built[1])
    named = re.search(r"-cu(\d{2})\b", " ".join(theirs))
    return version, int(named[1]) if named else NEWEST


def _major(cuda: str) -> int:
    return int(cuda.partition(".")[0])


def _too_old(major: int) -> str:
    """What to do where the driver does not run a torch that was built for CUDA ``major``; "" where it does."""
    driver = gpu_report().driver
    if not driver or _major(driver) >= major:
        return ""
    return (
        f"torch is for CUDA {major}, but the driver runs {driver}: install a newer driver, "
        f"or a torch built for CUDA {_major(driver)}"
    )
