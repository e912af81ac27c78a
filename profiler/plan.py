"""What a campaign is to measure: the distinct kernels of networks, or of whole search spaces, each once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from ..networks import Network
from ..networks.errors import NotSupportedError
from ..networks.lowering import Kernel, LoweredNetwork, lower_given
from ..networks.lowering.blocks import BlockSpace, Layout, LoweredBlock, LoweredSpace, lower_blocks
from .devices import Device
from .estimate import NETWORK_S, kernel_s


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
        extra: kernels wanted for themselves, by key, the most useful first; none of them is in a subject.
        usage: share of a search space's networks that run a kernel, by key; empty where there is no space.
        extra_uses: kernels of the space's blocks, equal ones counted each time.
        whole: only whole networks are measured, none of the subjects' kernels.
    """

    device: Device
    subjects: tuple[Subject, ...]
    check: bool
    extra: Mapping[str, Kernel] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    extra_uses: int = 0
    whole: bool = False

    @property
    def uses(self) -> int:
        """Kernels of all networks and blocks, equal ones counted each time."""
        return sum(len(subject.lowered.kernels) for subject in self.subjects) + self.extra_uses

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        """Distinct kernels by key in the order of measuring: the subjects' in order of first use, then the extra."""
        kernels: dict[str, Kernel] = {}
        for subject in () if self.whole else self.subjects:
            for key, kernel in subject.lowered.distinct.items():
                kernels.setdefault(key, kernel)
        return kernels | dict(self.extra)

    def kernel_s(self, pace: float = 1.0) -> float:
        """Rough seconds that one of the kernels takes, on average; ``pace`` as in `estimate_s`."""
        simulator = self.device.simulator
        seconds = [kernel_s(k, pace) if simulator is None else simulator.estimate_s(k) for k in self.kernels.values()]
        return sum(seconds) / max(len(seconds), 1)

    def estimate_s(self, kernels: int, pace: float = 1.0) -> float:
        """Rough duration of measuring so many of the kernels, and the whole networks if they are checked.

        Args:
            kernels: how many.
            pace: how much longer than typical the device's samples take; see `lutra.profiler.estimate.pace_of`.
        """
        return self.kernel_s(pace) * kernels + NETWORK_S * len(self.subjects) * self.check


def make_plan(
    device: Device, networks: Iterable[Network | tuple[Network, bytes]], *, check: bool = True, whole: bool = False
) -> Plan:
    """Lower ``networks`` as ``device``'s runtime does and gather their kernels.

    Args:
        device: what will be profiled.
        networks: graphs, or pairs of a graph and the ONNX file it was read from.
        check: measure the whole networks too.
        whole: measure the whole networks alone, not their kernels.

    Raises:
        NotSupportedError: whole networks of a simulated device, which are sums of their kernels.
        MissingDependencyError: the runtime that lowers is not installed.
        UsageError: a file is quantised, but the device's precision is float32.
        LutraError: the runtime cannot take one of the networks.
    """
    if whole and device.simulator is not None:
        raise NotSupportedError(
            f"{device.name} is simulated kernel by kernel: a whole network is the sum of them",
            hint=f"simulate its kernels, and any network follows: lutra profile --device {device.name}",
        )
    subjects = []
    check = whole or (check and device.simulator is None)  # a simulated network is the sum of its kernels
    for given in networks:
        network, model = given if isinstance(given, tuple) else (given, None)
        lowered, model = lower_given(network, model, device.runtime, precision=device.precision, threads=device.threads)
        subjects.append(Subject(network, model, lowered))
    return Plan(device, tuple(subjects), check, whole=whole)


def make_space_plan(
    device: Device,
    chains: Sequence[BlockSpace],
    *,
    check_networks: Iterable[Network | tuple[Network, bytes]] = (),
    networks: Iterable[Network] = (),
    check: bool = True,
) -> Plan:
    """A plan for every kernel that some network of a search space needs.

    The checked networks come first, so that the table knows its own error from the start; then the kernels that most
    networks of the space run, so that a table that is cut short predicts as many of them as it can.

    Args:
        device: what will be profiled.
        chains: the space as chains of blocks, one for each size of image; each counts alike in ``usage``.
        check_networks: networks to measure whole among their kernels, as `make_plan` takes them.
        networks: stand for what no chain can express: their kernels are measured, they are not.
        check: measure the networks that are to be checked; otherwise only their kernels are, first.

    Raises:
        NotSupportedError: the runtime's kernels are timed in the order of their network only; or a block cannot be
            told from the one before it.
        MissingDependencyError: the runtime that lowers is not installed.
        LutraError: the runtime cannot take one of the blocks.
    """
    if device.in_sequence:
        raise NotSupportedError(
            f"runtime {device.runtime!r} times kernels in the order of their network, not those of a space",
            hint="name networks of the space instead, or another --runtime",
        )
    plan = make_plan(device, check_networks, check=check)
    lowered = [
        lower_blocks(chain, device.runtime, precision=device.precision, threads=device.threads) for chain in chains
    ]
    covering = [subject.lowered for subject in make_plan(device, networks).subjects]
    parts = [_Part(space.distinct, usage_of(space), sum(map(len, space.blocks))) for space in lowered]
    parts += [_Part(whole.distinct, dict.fromkeys(whole.distinct, 1.0), len(whole.kernels)) for whole in covering]
    kernels: dict[str, Kernel] = {}
    usage: dict[str, float] = {}
    for part in parts:
        kernels |= part.kernels
        for key, share in part.usage.items():
            usage[key] = usage.get(key, 0.0) + share / len(parts)
    extra = {key: kernels[key] for key in sorted(kernels, key=lambda key: -usage[key]) if key not in plan.kernels}
    return Plan(device, plan.subjects, plan.check, extra, usage, sum(part.uses for part in parts))


@dataclass(frozen=True)
class _Part:
    """A chain, or a network that covers a part of a space: its kernels, their usage, and their number with repeats."""

    kernels: Mapping[str, Kernel]
    usage: Mapping[str, float]
    uses: int


def usage_of(space: LoweredSpace) -> dict[str, float]:
    """Share of a chain's networks that run each kernel, where all candidates of a position are equally likely.

    Positions are taken as independent: of the layouts in which a block can be met, each counts alike.
    """
    places: list[Sequence[Mapping[Layout, LoweredBlock]]] = [[{"own": space.stem}], [space.head], *space.positions]
    shares = [_shares(candidates) for candidates in places]
    keys = dict.fromkeys(key for by_key in shares for key in by_key)
    return {key: 1 - prod(1 - by_key.get(key, 0.0) for by_key in shares) for key in keys}


def _shares(candidates: Sequence[Mapping[Layout, LoweredBlock]]) -> dict[str, float]:
    """How likely each kernel is to run at a place."""
    shares: dict[str, float] = {}
    for by_layout in candidates:
        for block in by_layout.values():
            for key in set(block.keys):
                shares[key] = shares.get(key, 0.0) + 1 / len(candidates) / len(by_layout)
    return shares
