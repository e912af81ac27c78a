"""New devices from ten or twenty samples: FBNet's six tasks and NAS-Bench-201's ND, beside what was published."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from lutra.predictors import TransferPredictor, metrics

from .._results import Figure, note
from ._data import FBNET_TASKS, ND, LatencyTable, ceilings, fbnet, nasbench201
from .transfer import Protocol, mean_spearman, play

FBNET_GOALS: Final = {"FD": 0.961, "F1": 0.84, "F2": 0.88, "F3": 0.88, "F4": 0.84, "FA": 0.64}
FBNET_PUBLISHED: Final = {"FD": 0.961, "F1": 0.809, "F2": 0.871, "F3": 0.863, "F4": 0.831, "FA": 0.625}
ND_GOAL: Final = 0.965
ND_PUBLISHED: Final = 0.962
HELP_PUBLISHED: Final = {
    "titan_rtx_256": 0.987, "gold_6226": 0.989, "pixel2": 0.802, "raspi4": 0.890, "eyeriss": 0.940, "fpga": 0.985,
}  # fmt: skip

_FEW: Final = Protocol(samples=20, source_samples=800)
_RANDOM: Final = Protocol(samples=20, source_samples=800, sampler="random")
_HELP: Final = Protocol(samples=10, source_samples=900, trim=0.1)
_TRAINED_FOR_CEILING: Final = 0.8
_PROTOCOL: Final = (
    "{samples} target samples chosen by the predictor, {source} samples of each source; mean over 5 seeds and the "
    "task's targets; {scored}"
)


def measure_fbnet() -> dict[str, Any]:
    """Scores by task: with chosen and with random samples, and what could be reached."""
    found = {}
    for task in FBNET_TASKS:
        chosen, random = play(fbnet(), task, _FEW), play(fbnet(), task, _RANDOM)
        ceiling = float(np.mean([ceilings()["fbnet", target]["spearman"] for target in task.targets]))
        found[task.name] = {"chosen": chosen, "random": random, "ceiling": ceiling}
        note(f"{task.name}: {mean_spearman(chosen):.4f}, random samples {mean_spearman(random):.4f}")
    return found


def measure_nb201() -> dict[str, Any]:
    """Scores of ND with twenty samples, over the whole space."""
    few = Protocol(samples=20, source_samples=900)
    random = Protocol(samples=20, source_samples=900, sampler="random")
    ceiling = float(np.mean([ceilings()["nb201", target]["spearman"] for target in ND.targets]))
    return {"chosen": play(nasbench201(), ND, few), "random": play(nasbench201(), ND, random), "ceiling": ceiling}


def measure_help() -> dict[str, Any]:
    """Scores of ND with ten samples, without the lowest and highest tenth of latencies, and the ceiling's likewise."""
    scores = play(nasbench201(), ND, _HELP)
    return {device: {**scores[device], "ceiling": _trimmed_ceiling(nasbench201(), device)} for device in ND.targets}


def _trimmed_ceiling(table: LatencyTable, device: str) -> float:
    """Spearman of the additive model that was fitted to four fifths of the space, on the rest, trimmed likewise."""
    measured = table.latency_ms[device]
    order = np.random.default_rng(0).permutation(len(table))
    split = int(_TRAINED_FOR_CEILING * len(table))
    trained, rest = order[:split], order[split:]
    trained = trained[table.whole[trained]]
    predicted = TransferPredictor().fit(table.codes[trained], measured[trained]).predict_batch(table.codes[rest])
    low, high = np.quantile(measured, [_HELP.trim, 1 - _HELP.trim])
    inside = (measured[rest] >= low) & (measured[rest] <= high)
    return metrics.spearman(measured[rest][inside], predicted[inside])


def figures_fbnet(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Mean Spearman of each task, and the gain by choosing the samples."""
    for name, goal in FBNET_GOALS.items():
        protocol = _PROTOCOL.format(samples=20, source=800, scored="all 5,000 architectures")
        yield Figure(
            figure=f"fbnet_{name}_spearman",
            value=round(mean_spearman(found[name]["chosen"]), 4),
            unit="(rank)",
            goal=goal,
            better="higher",
            peer=f"best of any published configuration {FBNET_PUBLISHED[name]}",
            protocol=f"{protocol}; a model given 4,000 architectures of the target: {found[name]['ceiling']:.3f}",
            command=command,
        )
    gains = [mean_spearman(task["chosen"]) - mean_spearman(task["random"]) for task in found.values()]
    yield Figure(
        figure="sampler_gain_spearman",
        value=round(float(np.mean(gains)), 4),
        unit="(rank)",
        goal=0.0,
        better="higher",
        peer="random samples",
        protocol="mean over FBNet's six tasks of Spearman with 20 chosen samples less that with 20 random ones",
        command=command,
    )


def figures_nb201(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Mean Spearman of ND."""
    yield Figure(
        figure="nb201_ND_spearman",
        value=round(mean_spearman(found["chosen"]), 4),
        unit="(rank)",
        goal=ND_GOAL,
        better="higher",
        peer=f"best published {ND_PUBLISHED}",
        protocol=_PROTOCOL.format(samples=20, source=900, scored="all 15,625 cells")
        + f"; ceiling {found['ceiling']:.3f}",
        command=command,
    )


def figures_help(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """How many of the six devices beat what HELP published."""
    below = {name: scores for name, scores in found.items() if scores["spearman"] <= HELP_PUBLISHED[name]}
    told = (
        f"{name} {scores['spearman']:.3f} to {HELP_PUBLISHED[name]}, with a model given four fifths of the space at "
        f"{scores['ceiling']:.3f}"
        for name, scores in below.items()
    )
    yield Figure(
        figure="help10_devices_beaten",
        value=len(found) - len(below),
        unit="count",
        goal=6,
        better="higher",
        peer="HELP with 10 samples, as published",
        protocol=_PROTOCOL.format(samples=10, source=900, scored="lowest and highest tenth of the latencies left out")
        + f"; not beaten: {'; '.join(told) or 'none'}",
        command=command,
    )
