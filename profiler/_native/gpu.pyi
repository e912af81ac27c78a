"""NVIDIA GPUs, their libraries opened at run time (`csrc/gpu`).

Places are names for the dynamic linker and paths of files. `RuntimeError` says what is missing or what a library
reports, `ValueError` what nothing here runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from . import Clock, Fatal, Runnable

Places = tuple[Sequence[str], Sequence[str]]

class GpuLost(Fatal):
    """The GPU is gone, or of no use until the process is begun anew."""

class OutOfGpuMemory(RuntimeError):  # noqa: N818 - likewise
    """What was asked for does not fit; the message has both sizes."""

class DeviceClock(Clock):
    """A clock under which a sample takes as long as the GPU did, while between samples it goes as the machine's own."""

    def __init__(self) -> None: ...
    def catch_up(self) -> None: ...
    def spent(self, host_ns: int, device_ns: int) -> None: ...
    @property
    def device_ns(self) -> int: ...

class Driver:
    """NVIDIA's driver, opened and initialised."""

    def __init__(self, places: Places) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def cuda_version(self) -> int:
        """Newest CUDA version that it runs: 13000 for 13.0."""
    def devices(self) -> list[dict[str, Any]]: ...

def ahead_compiler() -> str:
    """Version of the nvcc that compiled our kernels when Lutra was built; "" where none did."""

def ahead_runs(architecture: int, cuda_version: int) -> bool:
    """Whether what was compiled then runs on a GPU (90 for compute capability 9.0) under a driver (13000 for 13.0)."""

class Compiler:
    """NVRTC; needs neither GPU nor driver."""

    def __init__(self, places: Places, builtins: Places) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def architectures(self) -> list[int]: ...
    def compile(self, architecture: int, element: str | None) -> bytes:
        """Machine code of our kernels for an element type, or of the protocol's own kernels (None)."""

class Monitor:
    """NVIDIA's management library; it only looks."""

    def __init__(self, places: Places, pci_bus_id: str) -> None: ...
    def state(self) -> dict[str, Any]: ...

class Gpu:
    """One GPU with a stream."""

    def __init__(self, driver: Driver, compiler: Compiler | None, index: int) -> None: ...
    @property
    def compiler(self) -> str:
        """What compiled our kernels: "NVRTC 13.0", "nvcc 13.0, ahead of time"."""
    @property
    def info(self) -> dict[str, Any]: ...
    @property
    def free_bytes(self) -> int: ...

class Blas:
    def __init__(self, gpu: Gpu, places: Places) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> int: ...

class Dnn:
    def __init__(self, gpu: Gpu, places: Places, parts: Sequence[str]) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> int: ...

def library_version(what: str, places: Places, symbol: str) -> int:
    """What a function of a library without arguments returns; the library is loaded, nothing is started."""

class Program:
    """Operations on a GPU. Contents are float32 whatever the tensors' element type, in row-major order."""

    def set_input(self, name: str, values: ArrayLike) -> None: ...
    def set_indices(self, name: str, values: ArrayLike) -> None: ...
    def set_constant(self, name: str, values: ArrayLike) -> None: ...
    def run(self) -> None: ...
    def content(self, name: str) -> NDArray[Any]: ...
    @property
    def copies(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def implementations(self) -> list[str]: ...

class Environment:
    """What programs and runnables of one GPU share. A library that is None has a text that says why."""

    def __init__(self, gpu: Gpu, blas: Blas | None, blas_missing: str, dnn: Dnn | None, dnn_missing: str) -> None: ...
    @property
    def clock(self) -> DeviceClock: ...
    @property
    def highest_mhz(self) -> float: ...
    def program(
        self,
        tensors: Sequence[tuple[str, Sequence[int], str, str]],
        steps: Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]],
        *,
        copies: int = 1,
        seed: int = 0,
    ) -> Program:
        """Tensors are (name, shape, element type, role), steps (op, inputs, outputs, attributes)."""

class TimedRunnable(Runnable):
    def observed(self) -> dict[str, Any]:
        """``sm_mhz``, ``discarded``, ``slow`` and ``dispatch_ns`` of the samples so far."""

class GraphRunnable(TimedRunnable):
    """A graph of the program's copies, ``repeats`` times each; 0: as often as makes it long enough for events."""

    def __init__(self, environment: Environment, program: Program, *, repeats: int = 0) -> None: ...
    @property
    def executions(self) -> int: ...

class ColdRunnable(TimedRunnable):
    """One execution behind a kernel that holds the stream, after the cache was flushed."""

    def __init__(self, environment: Environment, program: Program) -> None: ...

class EagerRunnable(TimedRunnable):
    """One execution, launch by launch."""

    def __init__(self, environment: Environment, program: Program) -> None: ...

class ReferenceRunnable(TimedRunnable):
    def __init__(self, environment: Environment, *, memory: bool) -> None: ...

class EmptyRunnable(TimedRunnable):
    """A graph of ``nodes`` kernels that do nothing."""

    def __init__(self, environment: Environment, nodes: int) -> None: ...
