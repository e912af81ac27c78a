"""Our own convolution kernels beside oneDNN's, timed in turns in one process.

``python -m benchmarks.kernels`` measures them (about two minutes; keep the machine quiet) into
`benchmarks/results/kernels.json`.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lutra.networks import Network, NetworkBuilder
from lutra.networks.lowering import Kernel, lower
from lutra.profiler._native import EntryResult, Runnable, measure_interleaved
from lutra.profiler.runtimes import Runtime, runtime_class

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

    figure: str
    goal: float
    cases: tuple[Case, ...]


FAMILIES = (
    Family(
        "dense3x3_vs_onednn_pct",
        85,
        (Case(64, 64, 56, 3), Case(128, 128, 28, 3), Case(256, 256, 14, 3), Case(512, 512, 7, 3)),
    ),
    Family(
        "pointwise_vs_onednn_pct",
        85,
        (
            *(Case(256, 64, 56, 1), Case(64, 256, 56, 1), Case(96, 576, 14, 1), Case(576, 96, 14, 1)),
            Case(320, 1280, 7, 1),
        ),
    ),
    Family(
        "depthwise_vs_onednn_pct",
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
        peer_us: that of the peer's.
        peer_implementation: the peer's name of what ran.
    """

    case: Case
    subject_us: float
    peer_us: float
    peer_implementation: str

    @property
    def pct(self) -> float:
        """Our speed as a share of the peer's."""
        return 100 * self.peer_us / self.subject_us

    def __str__(self) -> str:
        return f"{self.case} {self.pct:.0f} %"


def _convolution(case: Case, runtime: str) -> Kernel:
    """The kernel that computes; layouts are changed in others."""
    return max(lower(case.network, runtime).kernels, key=lambda kernel: kernel.macs)


def _microseconds(entry: EntryResult) -> float:
    """Lower quartile of the thread's CPU time for one run."""
    if entry.error is not None:
        raise RuntimeError(entry.error)
    samples = entry.samples
    return float(np.quantile(samples.cpu_ns / samples.batch, 0.25)) / 1e3


def compare(cases: Sequence[Case], rounds: int = ROUNDS) -> list[Outcome]:
    """Time both sides of all cases against each other, on one thread."""
    runtimes: list[Runtime] = [runtime_class(name)(1) for name in (SUBJECT, PEER)]
    prepared = [[r.prepare(_convolution(case, r.name), 1, seed=0) for r in runtimes] for case in cases]
    runnables: list[Runnable] = [side.runnable for pair in prepared for side in pair]
    measured = measure_interleaved(
        runnables,
        min_rounds=rounds,
        max_rounds=rounds,
        samples_per_visit=SAMPLES_PER_VISIT,
        target_halfwidth=0.0,
        metric="cpu",
        seed=0,
    )
    times = iter(map(_microseconds, measured.entries))
    return [
        Outcome(case, next(times), next(times), peer.implementation)
        for case, (_, peer) in zip(cases, prepared, strict=True)
    ]


def _figures(outcomes: Sequence[Outcome], version: str) -> Iterator[Figure]:
    by_case = {outcome.case: outcome for outcome in outcomes}
    for family in FAMILIES:
        own = [by_case[case] for case in family.cases]
        worst = min(own, key=lambda outcome: outcome.pct)
        yield Figure(
            figure=family.figure,
            value=statistics.geometric_mean(outcome.pct for outcome in own),
            unit="%",
            goal=family.goal,
            better="higher",
            peer=f"oneDNN {version}",
            protocol="Our speed as a share of the peer's, geometric mean of "
            f"{', '.join(map(str, own))}; worst {worst}. Convolutions alone with bias, each side in the layout that "
            "it prefers, reorders not counted, weights warm, float32, batch 1, 1 thread. "
            f"Lower quartiles of the thread's CPU time, both sides in random order in {ROUNDS} rounds of one process.",
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
        times = f"{outcome.subject_us:.1f} us beside {outcome.peer_us:.1f} us ({outcome.peer_implementation})"
        note(f"{outcome}: {times}")
    figures = list(_figures(outcomes, version))
    for figure in figures:
        note(f"{'met' if figure.met else 'MISSED'}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write('kernels', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
