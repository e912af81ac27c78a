"""Simulated CPUs beside latencies that others measured: do they rank networks, and what are five samples worth?

``python -m benchmarks.sim_cpu`` measures what has not been measured yet into `benchmarks/results/sim_cpu.json`, and
renders the table of `docs/simulated-devices.md`; ``python -m benchmarks.sim_cpu nasbench201`` one part anew. Nothing of
the model was fitted on NAS-Bench-201 or FBNet. Needs the measured data (`benchmarks.facts.SHARED`).
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lutra.nas.spaces.fbnet import _CHOICES, _LAST, _STAGES, _skip, _unit
from lutra.networks import Network, NetworkBuilder, zoo
from lutra.networks.blocks import conv_norm_act
from lutra.networks.lowering import LoweredNetwork, lower
from lutra.predictors.metrics import mape, spearman
from lutra.profiler._native import cpu_sim
from lutra.profiler.cpu_sim.calibrate import Sample, calibrate
from lutra.profiler.cpu_sim.device import CPUS, CpuDevice
from lutra.profiler.cpu_sim.model import as_table, chip_of, constants_of, estimate, native, shipped
from lutra.profiler.cpu_sim.work import CpuWork, work_of

from ._parts import Part, run_parts
from ._results import ROOT, Better, Figure, note
from .facts import SHARED
from .predictors._data import ceilings, fbnet, nasbench201

COMMAND: Final = "make bench-sim-cpu"
PAGE: Final = ROOT / "docs" / "simulated-devices.md"
MARKS: Final = ("<!-- figures of CPUs: made by `make bench-sim-cpu` -->\n", "<!-- end of figures -->\n")

DEVICES: Final = {
    "raspi4": "raspberry_pi_4",
    "pixel2": "phone_big_core",
    "pixel3": "phone_big_core",
    "samsung_a50": "phone_big_core",
    "samsung_s7": "phone_big_core",
    "gold_6226": "xeon_gold_6226",
    "gold_6240": "xeon_gold_6226",
    "silver_4114": "xeon_gold_6226",
    "silver_4210r": "xeon_gold_6226",
}
"""Measured column: what stands for it."""

_COUNTS: Final = {"nasbench201": 2000, "fbnet": 600}
_SAMPLES: Final = (5, 10)
_DRAWS: Final = 20
_STRIDES: Final = (1, 1, 2, 2, 1, 2, 1)
"""Of FBNet's stages on small images."""

_CEILINGS: Final = {"nasbench201": "nb201", "fbnet": "fbnet"}
_REPEATS, _ROUNDS = 2000, 5
_LEAST_MS: Final = 0.5  # below, columns of NAS-Bench-201 hold cells without a path

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lowered:
    """Networks as kernels: which, and how often each network runs each."""

    networks: list[LoweredNetwork]
    works: list[CpuWork]
    counts: Floats

    @classmethod
    def of(cls, networks: list[LoweredNetwork]) -> "Lowered":
        """Gather the distinct kernels of networks."""
        kernels = {kernel.key: kernel for network in networks for kernel in network.kernels}
        place = {key: column for column, key in enumerate(kernels)}
        counts = np.zeros((len(networks), len(kernels)))
        for row, network in enumerate(networks):
            for key, often in Counter(kernel.key for kernel in network.kernels).items():
                counts[row, place[key]] = often
        return cls(networks, [work_of(kernel) for kernel in kernels.values()], counts)

    def latencies_ms(self, device: CpuDevice) -> Floats:
        """Of the networks on one core of a CPU, [n]."""
        latencies_ns, _ = estimate(self.works, chip_of(device), constants_of(device))
        total: Floats = self.counts @ latencies_ns / 1e6
        return total


def _cells() -> dict[str, Any]:
    """NAS-Bench-201's cells that compute something, on CIFAR-10."""
    table = nasbench201()
    names = pq.read_table(SHARED / "nasbench201" / "architectures.parquet", columns=["arch_str"])[
        "arch_str"
    ].to_pylist()
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(table.whole))[: _COUNTS["nasbench201"]]
    networks = (zoo.build(f"nasbench201/{names[i]}") for i in chosen)
    return _judged("nasbench201", networks, {column: table.latency_ms[column][chosen] for column in DEVICES})


def _fbnet() -> dict[str, Any]:
    """FBNet's networks as HW-NAS-Bench has them for CIFAR-100; the columns of pixel3 and raspi4 are sums of tables."""
    table = fbnet()
    chosen = np.random.default_rng(0).permutation(len(table))[: _COUNTS["fbnet"]]
    networks = [small_fbnet(table.codes[i].astype(np.int64)) for i in chosen]
    counted = [network.params for network in networks]
    assert counted == [int(params) for params in table.costs["params"][chosen]], "other networks than were measured"
    return _judged("fbnet", networks, {column: table.latency_ms[column][chosen] for column in DEVICES})


def small_fbnet(code: Sequence[int]) -> Network:
    """A network of FBNet's space on images of 32 x 32, with 100 classes; its parameters are those of the data."""
    b = NetworkBuilder("fbnet-cifar")
    x = conv_norm_act(b, b.input((1, 3, 32, 32)), 16, 3)
    widths = np.repeat([stage.channels for stage in _STAGES], [stage.depth for stage in _STAGES])
    strides = [stride for first, stage in zip(_STRIDES, _STAGES, strict=True) for stride in (first, *stage.strides[1:])]
    for choice, out, stride in zip(code, widths, strides, strict=True):
        if choice == len(_CHOICES):
            x = _skip(b, x, out=int(out), stride=stride)
        else:
            kernel, expansion, groups = _CHOICES[choice]
            x = _unit(b, x, out=int(out), stride=stride, kernel=kernel, expansion=expansion, groups=groups)
    x = b.op("flatten", b.op("global_avg_pool2d", conv_norm_act(b, x, _LAST, 1)))
    return b.build(b.op("linear", x, out_features=100))


def _judged(space: str, networks: Iterable[Network], measured: Mapping[str, Floats]) -> dict[str, Any]:
    """A simulated CPU for each column: rank correlation, and errors before and after a calibration."""
    taken_apart = []
    for network in networks:
        taken_apart.append(lower(network, "sim-cpu"))
        if len(taken_apart) % 500 == 0:
            note(f"{space}: {len(taken_apart)} networks taken apart")
    lowered = Lowered.of(taken_apart)
    macs = np.array([network.macs for network in taken_apart], dtype=np.float64)
    found: dict[str, Any] = {}
    for column, known in measured.items():
        device, timed = CPUS.of(DEVICES[column]), known > _LEAST_MS
        simulated = lowered.latencies_ms(device)
        found[column] = {
            "device": device.name,
            "networks": int(timed.sum()),
            "spearman": spearman(known[timed], simulated[timed]),
            "macs_spearman": spearman(known[timed], macs[timed]),
            "ceiling_spearman": ceilings()[_CEILINGS[space], column]["spearman"],
            "mape_pct": mape(known[timed], simulated[timed]),
            **{
                f"{score}_{count}{unit}": value
                for count in _SAMPLES
                for (score, unit), value in zip(
                    (("mape", "_pct"), ("spearman", "")), _calibrated(lowered, device, known, timed, count), strict=True
                )
            },
        }
        note(f"{space} {column}: {found[column]}")
    return found


def _calibrated(
    lowered: Lowered, device: CpuDevice, known: Floats, timed: NDArray[np.bool_], count: int
) -> tuple[float, float]:
    """Error in percent, and rank correlation, of networks that a calibration on ``count`` did not see; means."""
    rng = np.random.default_rng(count)
    scores = []
    for _ in range(_DRAWS):
        seen = rng.choice(np.flatnonzero(timed), count, replace=False)
        samples = [Sample(lowered.networks[i], float(known[i])) for i in seen]
        others = timed.copy()
        others[seen] = False
        fitted = calibrate(device, samples, source="benchmark").device
        predicted = lowered.latencies_ms(fitted)[others]
        scores.append((mape(known[others], predicted), spearman(known[others], predicted)))
    error, rho = np.mean(scores, axis=0)
    return float(error), float(rho)


def _speed() -> dict[str, Any]:
    """Ops a second of the compiled model, on one core."""
    works = [work_of(kernel) for kernel in lower(zoo.build("mobilenet_v2"), "sim-cpu").kernels]
    table = np.tile(as_table(works), (_REPEATS, 1))
    chip, constants = native(chip_of(CPUS.of("raspberry_pi_4")), shipped().constants)
    rates = []
    for _ in range(_ROUNDS):
        started_s = time.process_time()
        cpu_sim.estimate(table, chip, constants)
        rates.append(len(table) / (time.process_time() - started_s))
    return {"ops_per_s": float(np.median(rates)), "ops": len(table)}


PARTS: Final[Mapping[str, Part]] = {"nasbench201": _cells, "fbnet": _fbnet, "speed": _speed}
_NAMES: Final = {"nasbench201": "nb201", "fbnet": "fbnet"}


def figures(found: Mapping[str, dict[str, Any]]) -> Sequence[Figure]:
    """The figures of the parts that were measured."""
    made = [figure for space in _NAMES if space in found for figure in _of_space(space, found[space])]
    if "speed" in found:
        how = f"{found['speed']['ops']:,} kernels of mobilenet_v2, thread CPU time, median of {_ROUNDS} rounds"
        rate = found["speed"]["ops_per_s"]
        made.append(_figure("sim_cpu_ops_per_s", rate, "ops/s", "higher", "", how, goal=1e6))
    return made


def _of_space(space: str, found: Mapping[str, Any]) -> Iterator[Figure]:
    short = _NAMES[space]
    for column, numbers in found.items():
        how = f"{numbers['networks']:,} networks of {space}, {numbers['device']} for the column {column}, one core"
        peer = f"MACs {numbers['macs_spearman']:.3f}; a model given 80 % of the space {numbers['ceiling_spearman']:.3f}"
        name = f"{short}_{column}_spearman"
        yield _figure(name, numbers["spearman"], "rho", "higher", peer, f"{how}; nothing fitted")
        fitted = f"{how}; after calibrating on 5 other networks, mean of {_DRAWS} draws"
        uncalibrated = f"nothing fitted: {numbers['mape_pct']:.0f} %"
        yield _figure(f"{short}_{column}_mape_5_pct", numbers["mape_5_pct"], "%", "lower", uncalibrated, fitted)


def _figure(
    name: str, value: float, unit: str, better: Better, peer: str, how: str, *, goal: float | None = None
) -> Figure:
    return Figure(
        figure=name, value=value, unit=unit, goal=goal, better=better, peer=peer, protocol=how, command=COMMAND
    )


def render(found: Mapping[str, dict[str, Any]]) -> str:
    """The table of the page."""
    lines = [
        "| networks | measured on | simulated as | ρ | ρ of MACs | ceiling | error | after 5 | after 10 |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for space in _NAMES:
        for column, n in found.get(space, {}).items():
            rhos = " | ".join(f"{n[key]:.3f}" for key in ("spearman", "macs_spearman", "ceiling_spearman"))
            errors = " | ".join(f"{n[key]:.0f} %" for key in ("mape_pct", "mape_5_pct", "mape_10_pct"))
            lines.append(f"| {space} | {column} | `{n['device']}` | {rhos} | {errors} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and put the table into the page."""
    found = run_parts("sim_cpu", PARTS, figures, "Simulated CPUs beside measured latencies.")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}{render(found)}{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
