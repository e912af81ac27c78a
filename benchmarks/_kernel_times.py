"""Times of our own convolution kernels and of oneDNN's, taken in turns in one process, on one instruction set.

`measure` starts that process: oneDNN is held to an instruction set by the environment that it finds at its start.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from lutra.networks import Network, NetworkBuilder
from lutra.networks.lowering import Kernel, lower, plan_onednn
from lutra.networks.lowering.kernel import freeze_attrs
from lutra.networks.lowering.onednn_layouts import Isa
from lutra.profiler._native import EntryResult, measure_interleaved
from lutra.profiler.runtimes import Prepared
from lutra.profiler.runtimes.native import NativeRuntime
from lutra.profiler.runtimes.onednn import OneDnnRuntime

from ._results import ROOT

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
class Times:
    """A convolution as all sides run it: lower quartiles of one run, in microseconds.

    Attributes:
        case: the convolution, in words.
        ours_us: our kernel in float32.
        ours_int8_us: our kernel in 8 bits.
        peer_us: the peer's in float32, in the layout that it prefers.
        peer_blocked_us: the peer's in blocks of as many channels as a vector holds, which may be faster.
        peer_implementation: the peer's name of what it prefers.
    """

    case: str
    ours_us: float
    ours_int8_us: float
    peer_us: float
    peer_blocked_us: float
    peer_implementation: str

    def __str__(self) -> str:
        ours = f"{self.ours_us:.1f} us ({self.ours_int8_us:.1f} us in 8 bits)"
        peer = f"{self.peer_us:.1f} us ({self.peer_implementation}) and {self.peer_blocked_us:.1f} us in blocks"
        return f"{self.case} {100 * self.peer_us / self.ours_us:.0f} %: {ours} beside {peer}"


def measure(isa: str) -> list[Times]:
    """Time all cases in a process of its own, with both sides held to ``isa`` (as our kernels name it)."""
    environment = os.environ if isa.startswith("avx512") else os.environ | {"ONEDNN_MAX_CPU_ISA": _PEER_CAPS[isa]}
    command = [sys.executable, "-m", "benchmarks._kernel_times", isa]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True)
    return [Times(**times) for times in json.loads(done.stdout)]


_PEER_CAPS = {"avx2": "AVX2", "sse2": "SSE41"}
"""What oneDNN calls the instruction set that comes closest, where it must not use all that it finds."""


def _peer_isa(isa: str) -> Isa:
    """What the peer's layouts depend on."""
    if isa.startswith("avx512"):
        return "avx512"
    return "avx2" if isa == "avx2" else "older"


def _computing(kernels: Sequence[Kernel]) -> Kernel:
    """The kernel that computes; layouts are changed in others."""
    return max(kernels, key=lambda kernel: kernel.macs)


def _in_blocks(kernel: Kernel, isa: str) -> Kernel:
    """The peer's kernel with its input and output in blocks of as many channels as a vector holds."""
    (node,) = kernel.nodes
    block = "blocked16" if isa.startswith("avx512") else "blocked8"
    layouts = (block, *("plain" for _ in node.inputs[1:]), block)
    return replace(kernel, nodes=(replace(node, attrs=freeze_attrs(dict(node.attrs) | {"layouts": layouts})),))


def _microseconds(entry: EntryResult) -> float:
    """Lower quartile of the thread's CPU time for one run."""
    if entry.error is not None:
        raise RuntimeError(entry.error)
    samples = entry.samples
    return float(np.quantile(samples.cpu_ns / samples.batch, 0.25)) / 1e3


def _time_here(cases: Sequence[Case], isa: str) -> list[Times]:
    """Time all sides of all cases against each other, on one thread of this process."""
    ours, ours_int8, peer = NativeRuntime(1, isa=isa), NativeRuntime(1, "int8", isa), OneDnnRuntime(1)
    prepared: list[tuple[Prepared, ...]] = []
    for case in cases:
        network = case.network
        theirs = _computing(plan_onednn(network, _peer_isa(isa)).kernels)
        prepared.append(
            (
                ours.prepare(_computing(lower(network, "native").kernels), 1, seed=0),
                ours_int8.prepare(_computing(lower(network, "native", precision="int8").kernels), 1, seed=0),
                peer.prepare(theirs, 1, seed=0),
                peer.prepare(_in_blocks(theirs, isa), 1, seed=0),
            )
        )
    implementations = [sides[2].implementation for sides in prepared]
    if not isa.startswith("avx512") and any("avx512" in name for name in implementations):
        raise RuntimeError(f"oneDNN was to keep to {isa}, but runs {implementations}")
    measured = measure_interleaved(
        [side.runnable for sides in prepared for side in sides],
        min_rounds=ROUNDS,
        max_rounds=ROUNDS,
        samples_per_visit=SAMPLES_PER_VISIT,
        target_halfwidth=0.0,
        metric="cpu",
        seed=0,
    )
    times = iter(map(_microseconds, measured.entries))
    return [
        Times(str(case), next(times), next(times), next(times), next(times), implementation)
        for case, implementation in zip(cases, implementations, strict=True)
    ]


def main() -> None:
    """Print the times of all cases as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("isa", help="instruction set of our kernels; the environment holds oneDNN to it")
    times = _time_here([case for family in FAMILIES for case in family.cases], parser.parse_args().isa)
    sys.stdout.write(json.dumps([asdict(each) for each in times]))


if __name__ == "__main__":
    main()
