"""Our own convolution kernels beside oneDNN's, timed in turns in one process for each instruction set.

``python -m benchmarks.kernels`` measures them (under a minute; keep the machine quiet) into
`benchmarks/results/kernels.json`.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence

from lutra.profiler._native import available_isas
from lutra.profiler.runtimes import runtime_class

from ._kernel_times import FAMILIES, ROUNDS, Family, Times, measure
from ._results import Figure, note, write

COMMAND = "make bench-kernels"
PEER = "onednn"


def _names_by_isa() -> dict[str, str]:
    """Instruction sets to measure, and what the names of their figures begin with, behind the family's.

    The best of the machine, and AVX2, which most machines have at least, where that is not it.
    """
    best = available_isas()[-1]
    return {best: ""} | ({"avx2": "avx2_"} if "avx2" in available_isas() and best != "avx2" else {})


def _figures(measured: Sequence[Times], isa: str, mark: str, version: str) -> Iterator[Figure]:
    by_case = {times.case: times for times in measured}
    for family in FAMILIES:
        own = [by_case[str(case)] for case in family.cases]
        name = f"{family.name}_{mark}vs"
        preferred = {times.case: 100 * times.peer_us / times.ours_us for times in own}
        yield _share(f"{name}_onednn_pct", preferred, family.goal, (isa, version), "in the layout that it prefers")
        fastest = {t.case: 100 * min(t.peer_us, t.peer_blocked_us) / t.ours_us for t in own}
        layouts = "in the faster of the layout that it prefers and blocks of channels as long as a vector"
        yield _share(f"{name}_fastest_onednn_pct", fastest, None, (isa, version), layouts)
        yield _gain(family, mark, {times.case: times.ours_us / times.ours_int8_us for times in own}, isa)


def _share(name: str, shares: Mapping[str, float], goal: float | None, sides: tuple[str, str], layouts: str) -> Figure:
    isa, version = sides
    listed = ", ".join(f"{case} {share:.0f} %" for case, share in shares.items())
    worst = min(shares, key=shares.__getitem__)
    return Figure(
        figure=name,
        value=statistics.geometric_mean(shares.values()),
        unit="%",
        goal=goal,
        better="higher",
        peer=f"oneDNN {version}",
        protocol=f"Our speed as a share of the peer's, both held to {isa}, geometric mean of {listed}; worst {worst}. "
        f"Convolutions alone with bias, ours as lowered, the peer's {layouts}, reorders not counted, {_PROTOCOL}",
        command=COMMAND,
    )


def _gain(family: Family, mark: str, gains: Mapping[str, float], isa: str) -> Figure:
    listed = ", ".join(f"{case} {gain:.2f}" for case, gain in gains.items())
    return Figure(
        figure=f"{family.name}_{mark}int8_vs_fp32_x",
        value=statistics.geometric_mean(gains.values()),
        unit="x",
        goal=None,
        better="higher",
        peer="our own kernels in float32",
        protocol=f"Speed of our kernels in 8 bits over that in float32 on {isa}, geometric mean of {listed}. "
        f"Convolutions alone with bias, requantised, changes of type and layout not counted, {_PROTOCOL}",
        command=COMMAND,
    )


_PROTOCOL = (
    "weights warm, batch 1, 1 thread. Lower quartiles of the thread's CPU time, all in random order in "
    f"{ROUNDS} rounds of one process."
)


def main() -> int:
    """Measure everything and write the results; returns the exit status."""
    info = runtime_class(PEER).info()
    if not info.available:
        note(f"oneDNN is {info.note}")
        return 1
    figures: list[Figure] = []
    for isa, mark in _names_by_isa().items():
        measured = measure(isa)
        for times in measured:
            note(f"{isa}: {times}")
        figures += _figures(measured, isa, mark, info.version)
    for figure in figures:
        met = "no goal" if figure.met is None else "met" if figure.met else "MISSED"
        note(f"{met}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write('kernels', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
