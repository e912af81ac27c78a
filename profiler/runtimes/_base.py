"""What a runtime is to the profiler: something that prepares kernels and networks for the timing core.

A runtime lives in a worker process of its own (`lutra.profiler.worker`), because libraries fight over thread pools
and allocators, and because one that crashes must not take the campaign with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, ClassVar

from ...networks import Network
from ...networks.errors import UnknownNameError, UsageError
from ...networks.lowering import Kernel
from .._native import Clock, Runnable
from ..copies import HOST_ROTATION, Rotation, require_memory


@dataclass(frozen=True)
class RuntimeInfo:
    """Whether a runtime can be used here.

    Attributes:
        name: what to ask for.
        kind: "real", or "null" for the stand-in.
        available: it can be used now.
        version: of the library; "" where it is missing.
        note: what it is, or what to install.
    """

    name: str
    kind: str
    available: bool
    version: str
    note: str


@dataclass(frozen=True)
class Prepared:
    """Something ready to be timed.

    Attributes:
        runnable: one call of it is what a sample times.
        executions: how often the subject runs in one call (copies of the kernel with distinct weights).
        finite: whether the outputs of the last call are all finite; checked outside of timing.
        overheads: how often each constant of the runtime occurs in one call, by name.
        implementation: what the library calls the code that runs; "" where it does not say.
        observed: called once its samples are taken: what else is known of them, as plain JSON data for the row.
        cold: makes the same for samples that find nothing in the caches, where the runtime has a way of its own.
    """

    runnable: Runnable
    executions: int
    finite: Callable[[], bool]
    overheads: dict[str, int]
    implementation: str = ""
    observed: Callable[[], dict[str, Any]] = dict
    cold: "Callable[[], Prepared] | None" = None


@dataclass(frozen=True)
class Overhead:
    """A constant of the runtime, measured once per device.

    Its value is (p25(runnable) - the base's value) / executions; ``base`` names a constant measured before it.
    """

    name: str
    label: str
    prepared: Prepared
    base: str | None = None


class Runtime(ABC):
    """One way of running networks on this machine.

    Args:
        threads: number of threads it may use, at most ``max_threads``.
        precision: number format that networks are run in, one of ``precisions``.

    Raises:
        UsageError: it does not run in that precision.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "real"
    device: ClassVar[str] = "host"
    """What it runs on: "host" for this machine's processor, "cuda" for its NVIDIA GPU."""
    max_threads: ClassVar[int] = 1 << 16
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    processes: ClassVar[int] = 1
    """Worker processes that a group's rounds are spread over, at least: more than one where every process has its own
    speed (memory placement, a code cache), so that a row shows how far they differ."""
    extra: ClassVar[str] = ""
    """The extra of Lutra's package that installs its library; "" where it needs none."""
    in_sequence: ClassVar[bool] = False
    """Kernels are timed in the order of a network, one call a sample, because here they depend on what ran before."""
    silence_timeout_s: ClassVar[float] = 120.0
    """A worker that says nothing for so long is taken to hang."""
    rotation: ClassVar[Rotation] = HOST_ROTATION
    """How copies of weights take turns on its hardware."""
    clock: Clock | None = None
    """A clock of its own that its runnables advance, simulated or a GPU's; None for the machine's."""

    def __init__(self, threads: int, precision: str = "float32") -> None:
        self.check_precision(precision)
        self.threads = threads
        self.precision = precision

    @classmethod
    def check_precision(cls, precision: str) -> None:
        """Refuse a precision that it does not run in.

        Raises:
            UsageError: names those that it does.
        """
        if precision not in cls.precisions:
            raise UsageError(
                f"runtime {cls.name!r} does not run in {precision!r}", hint=f"it runs in {', '.join(cls.precisions)}"
            )

    @classmethod
    @abstractmethod
    def info(cls) -> RuntimeInfo:
        """Whether it can be used here; must not load the library."""

    @classmethod
    def device_version(cls) -> str:
        """Of what runs the kernels, for the fingerprint of a device that is not this machine's processor."""
        return cls.info().version

    @classmethod
    def environment(cls) -> dict[str, str]:
        """Environment variables that its worker process is to start with, beside those that are there."""
        return {}

    def measuring(self) -> AbstractContextManager[Any]:
        """Entered around everything that is timed, by the thread that times it."""
        return nullcontext()

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Versions and implementation names, for the record."""

    @abstractmethod
    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        """``copies`` of ``kernel`` with distinct random weights, in one runnable.

        One call runs all of them; where kernels are timed in sequence it runs one of them, each in its turn.
        """

    @abstractmethod
    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        """The whole network as a user would run it.

        Args:
            network: the graph.
            model: the user's own ONNX file, if that is where the network came from.
            seed: of the random weights and inputs.
        """

    def require_memory(self, kernel: Kernel, copies: int) -> None:
        """Refuse a kernel whose copies do not fit, before anything is allocated.

        Raises:
            MeasurementError: it needs more memory than is free.
        """
        if self.clock is None:  # a simulated runtime allocates nothing
            require_memory(kernel, copies)

    def references(self) -> tuple[Runnable, Runnable] | None:
        """Fixed work that tells how fast its hardware is, compute and memory; None for that of the processor."""
        return None

    def overheads(self) -> Iterator[Overhead]:
        """The runtime's constants, in an order in which every base comes first."""
        return iter(())


_RUNTIMES: dict[str, type[Runtime]] = {}


def register_runtime(cls: type[Runtime]) -> type[Runtime]:
    """Class decorator: makes a runtime known by its name."""
    _RUNTIMES[cls.name] = cls
    return cls


def runtime_classes() -> dict[str, type[Runtime]]:
    """Every runtime by name: the built-in ones and those of installed packages (entry points ``lutra.runtimes``)."""
    for entry in entry_points(group="lutra.runtimes"):
        if entry.name not in _RUNTIMES:
            _RUNTIMES[entry.name] = entry.load()
    return dict(_RUNTIMES)


def runtime_class(name: str) -> type[Runtime]:
    """The runtime called ``name``.

    Raises:
        UnknownNameError: no such runtime.
    """
    classes = runtime_classes()
    if name not in classes:
        raise UnknownNameError("runtime", name, classes)
    return classes[name]
