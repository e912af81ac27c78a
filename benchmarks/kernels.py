"""Our own convolution kernels beside oneDNN's, timed in turns in one process.

``python -m benchmarks.kernels`` measures them (under a minute; keep the machine quiet) into
`benchmarks/results/kernels.json`.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lutra.networks import Network, NetworkBuilder
from lutra.networks.lowering import Kernel, lower
from lutra.networks.lowering.kernel import freeze_attrs
from lutra.profiler._native import EntryResult, measure_interleaved
from lutra.profiler.runtimes import Prepared, runtime_class

from ._results import Figure, note, write

COMMAND = "make bench-kernels"
SUBJECT, PEER = "native", "onednn"
ROUNDS = 40
SAMPLES_PER_VISIT = 3


@dataclass(frozen=True)
class Case:
    """A convolution with bias over one square image, padded so that stride 1 keeps the size.

    Attributes:
        channels: of the input.
        filters: of the output.
        size: height and width of the input.
        window: height and width of the window.
        stride: step in both directions.
        groups: independent slices of the channels.
    """

    channels: int
    filters: int
    size: int
    window: int
    stride: int = 1
    groups: int = 1

    @property
    def network(self) -> Network:
        """The convolution alone."""
        b = NetworkBuilder(str(self))
        x = b.input((1, self.channels, self.size, self.size))
        y = b.op(
            "conv2d",
            x,
            out_channels=self.filters,
            kernel_size=self.window,
            stride=self.stride,
            padding=self.window // 2,
            groups=self.groups,
        )
        return b.build(y)

    def __str__(self) -> str:
        step = f"/{self.stride}" if self.stride > 1 else ""
        channels = str(self.channels) if self.groups > 1 else f"{self.channels}->{self.filters}"
        return f"{self.window}x{self.window}{step} {channels} @{self.size}"


def _depthwise(channels: int, size: int, window: int, stride: int = 1) -> Case:
    return Case(channels, channels, size, window, stride, channels)


@dataclass(frozen=True)
class Family:
    """Convolutions of one kind, and the share of the peer's speed that is wanted, in %."""

    name: str
    goal: float
    cases: tuple[Case, ...]


FAMILIES = (
    Family(
        "dense3x3",
        85,
        (Case(64, 64, 56, 3), Case(128, 128, 28, 3), Case(256, 256, 14, 3), Case(512, 512, 7, 3)),
    ),
    Family(
        "pointwise",
        85,
        (
            *(Case(256, 64, 56, 1), Case(64, 256, 56, 1), Case(96, 576, 14, 1), Case(576, 96, 14, 1)),
            Case(320, 1280, 7, 1),
        ),
    ),
    Family(
        "depthwise",
        80,
        (
            *(_depthwise(32, 112, 3), _depthwise(192, 28, 3), _depthwise(144, 56, 3, 2)),
            *(_depthwise(240, 14, 5), _depthwise(576, 14, 3)),
        ),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """A case as both sides run it.

    Attributes:
        case: the convolution.
        subject_us: lower quartile of one run of our kernel.
        peer_us: that of the peer's, in the layout that the peer prefers.
        peer_blocked_us: that of the peer's in blocks of 8 channels, which may be faster than what it prefers.
        peer_implementation: the peer's name of what it prefers.
    """

    case: Case
    subject_us: float
    peer_us: float
    peer_blocked_us: float
    peer_implementation: str

    @property
    def pct(self) -> float:
        """Our speed as a share of the peer's."""
        return 100 * self.peer_us / self.subject_us

    @property
    def best_pct(self) -> float:
        """Our speed as a share of the faster of the peer's two."""
        return 100 * min(self.peer_us, self.peer_blocked_us) / self.subject_us

    def __str__(self) -> str:
        times = f"{self.subject_us:.1f} us beside {self.peer_us:.1f} us ({self.peer_implementation})"
        return f"{self.case} {self.pct:.0f} %: {times} and {self.peer_blocked_us:.1f} us in blocks"


def _convolution(case: Case, runtime: str) -> Kernel:
    """The kernel that computes; layouts are changed in others."""
    return max(lower(case.network, runtime).kernels, key=lambda kernel: kernel.macs)


def _in_blocks(kernel: Kernel) -> Kernel:
    """The peer's kernel with its input and output in blocks of 8 channels."""
    (node,) = kernel.nodes
    layouts = ("blocked8", *("plain" for _ in node.inputs[1:]), "blocked8")
    return replace(kernel, nodes=(replace(node, attrs=freeze_attrs(dict(node.attrs) | {"layouts": layouts})),))


def _microseconds(entry: EntryResult) -> float:
    """Lower quartile of the thread's CPU time for one run."""
    if entry.error is not None:
        raise RuntimeError(entry.error)
    samples = entry.samples
    return float(np.quantile(samples.cpu_ns / samples.batch, 0.25)) / 1e3


def compare(cases: Sequence[Case], rounds: int = ROUNDS) -> list[Outcome]:
    """Time both sides of all cases against each other, on one thread."""
    subject, peer = runtime_class(SUBJECT)(1), runtime_class(PEER)(1)
    prepared: list[tuple[Prepared, Prepared, Prepared]] = []
    for case in cases:
        theirs = _convolution(case, PEER)
        ours = subject.prepare(_convolution(case, SUBJECT), 1, seed=0)
        prepared.append((ours, peer.prepare(theirs, 1, seed=0), peer.prepare(_in_blocks(theirs), 1, seed=0)))
    measured = measure_interleaved(
        [side.runnable for sides in prepared for side in sides],
        min_rounds=rounds,
        max_rounds=rounds,
        samples_per_visit=SAMPLES_PER_VISIT,
        target_halfwidth=0.0,
        metric="cpu",
        seed=0,
    )
    times = iter(map(_microseconds, measured.entries))
    return [
        Outcome(case, next(times), next(times), next(times), preferred.implementation)
        for case, (_, preferred, _) in zip(cases, prepared, strict=True)
    ]


def _figures(outcomes: Sequence[Outcome], version: str) -> Iterator[Figure]:
    by_case = {outcome.case: outcome for outcome in outcomes}
    for family in FAMILIES:
        own = [by_case[case] for case in family.cases]
        shares = {str(outcome.case): outcome.pct for outcome in own}
        yield _figure(f"{family.name}_vs_onednn_pct", shares, family.goal, version, "in the layout that it prefers")
        best = {str(outcome.case): outcome.best_pct for outcome in own}
        layouts = "in the faster of the layout that it prefers and blocks of 8 channels"
        yield _figure(f"{family.name}_vs_fastest_onednn_pct", best, None, version, layouts)


def _figure(name: str, shares: Mapping[str, float], goal: float | None, version: str, layouts: str) -> Figure:
    listed = ", ".join(f"{case} {share:.0f} %" for case, share in shares.items())
    worst = min(shares, key=shares.__getitem__)
    return Figure(
        figure=name,
        value=statistics.geometric_mean(shares.values()),
        unit="%",
        goal=goal,
        better="higher",
        peer=f"oneDNN {version}",
        protocol=f"Our speed as a share of the peer's, geometric mean of {listed}; worst {worst}. Convolutions alone "
        f"with bias, ours as lowered, the peer's {layouts}, reorders not counted, weights warm, float32, batch 1, "
        f"1 thread. Lower quartiles of the thread's CPU time, all in random order in {ROUNDS} rounds of one process.",
        command=COMMAND,
    )


def main() -> int:
    """Measure everything and write the results; returns the exit status."""
    info = runtime_class(PEER).info()
    if not info.available:
        note(f"oneDNN is {info.note}")
        return 1
    version = runtime_class(PEER)(1).describe()[PEER]
    outcomes = compare([case for family in FAMILIES for case in family.cases])
    for outcome in outcomes:
        note(str(outcome))
    figures = list(_figures(outcomes, version))
    for figure in figures:
        met = "no goal" if figure.met is None else "met" if figure.met else "MISSED"
        note(f"{met}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write('kernels', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
