"""What a campaign is to measure: the distinct kernels of the networks asked for, each once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..networks import Network
from ..networks.lowering import Kernel, LoweredNetwork, lower_given
from .devices import Device

_SECONDS_PER_ENTRY = 1.0  # a typical kernel's share of a campaign; the progress bar corrects it as it goes


@dataclass(frozen=True)
class Subject:
    """A network to profile, and how the runtime lowers it.

    Attributes:
        network: the graph.
        model: the user's own ONNX file, if that is where it came from: then that very file is lowered and run.
        lowered: the kernels that the runtime makes of it.
    """

    network: Network
    model: bytes | None
    lowered: LoweredNetwork


@dataclass(frozen=True)
class Plan:
    """Work for one device.

    Attributes:
        device: what is profiled.
        subjects: the networks asked for.
        check: whole networks are measured among the kernels, so that the table carries its own error.
    """

    device: Device
    subjects: tuple[Subject, ...]
    check: bool

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        """Distinct kernels by key, in order of first use."""
        kernels: dict[str, Kernel] = {}
        for subject in self.subjects:
            for key, kernel in subject.lowered.distinct.items():
                kernels.setdefault(key, kernel)
        return kernels

    def estimate_s(self, kernels: int) -> float:
        """Rough duration of measuring so many kernels, and the whole networks if they are checked."""
        return _SECONDS_PER_ENTRY * (kernels + len(self.subjects) * self.check)


def make_plan(device: Device, networks: Iterable[Network | tuple[Network, bytes]], *, check: bool = True) -> Plan:
    """Lower ``networks`` as ``device``'s runtime does and gather their kernels.

    Args:
        device: what will be profiled.
        networks: graphs, or pairs of a graph and the ONNX file it was read from.
        check: measure the whole networks too.

    Raises:
        MissingDependencyError: the runtime that lowers is not installed.
        UsageError: a file is quantised, but the device's precision is float32.
        LutraError: the runtime cannot take one of the networks.
    """
    subjects = []
    for given in networks:
        network, model = given if isinstance(given, tuple) else (given, None)
        lowered, model = lower_given(network, model, device.runtime, precision=device.precision, threads=device.threads)
        subjects.append(Subject(network, model, lowered))
    return Plan(device, tuple(subjects), check)
