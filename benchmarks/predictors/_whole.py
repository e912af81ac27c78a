"""The whole space of NAS-Bench-201 from 900 cells, on each of 27 columns; and on the cells that a search picks."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lutra.predictors import AdditivePredictor, LatencyPredictor, TransferPredictor, metrics

from .._results import Figure, note
from ._data import NB201_DEVICES, SERVERS, Floats, ceilings, is_gpu, nasbench201
from .transfer import COVERAGE

TRAINED: Final = 900
_SEEDS: Final = 3
_GOAL_PCT: Final = 99.5
_RATIO_GOAL: Final = 1.0
_MATCHES: Final = 20  # cells of nearly the same predicted latency that each picked one is compared with
COUNTED: Final = "additive"
_MODELS: Final[Mapping[str, type[LatencyPredictor]]] = {"additive": AdditivePredictor, "gaussian": TransferPredictor}


def measure() -> dict[str, Any]:
    """Scores of each model on each device; means over the seeds."""
    found = {}
    for device in NB201_DEVICES:
        found[device] = {name: _scored(kind, device) for name, kind in _MODELS.items()}
        note(f"{device}: " + ", ".join(f"{m} {s['within_10_pct']:.2f} %" for m, s in found[device].items()))
    return found


def _scored(kind: type[LatencyPredictor], device: str) -> dict[str, float]:
    table = nasbench201()
    offered, measured = np.flatnonzero(table.whole), table.latency_ms[device]
    scores = []
    for seed in range(_SEEDS):
        order = np.random.default_rng(seed).permutation(offered)
        trained, rest = order[:TRAINED], order[TRAINED:]
        predictor = kind().fit(table.codes[trained], measured[trained])
        predicted, ends = np.full(len(table), np.nan), predictor.predict_interval(table.codes[rest], COVERAGE)
        predicted[offered] = predictor.predict_batch(table.codes[offered])
        inside = (ends[:, 0] <= measured[rest]) & (measured[rest] <= ends[:, 1])
        picked = pareto(predicted, table.columns["val_acc_cifar10"], rest)
        alike = _alike(predicted, picked, rest)
        scores.append(
            {
                "within_10_pct": 100 * metrics.within(measured[rest], predicted[rest]),
                "mape_pct": metrics.mape(measured[rest], predicted[rest]),
                "spearman": metrics.spearman(measured[rest], predicted[rest]),
                "coverage_pct": 100 * float(inside.mean()),
                "picked": float(len(picked)),
                "picked_mape_pct": metrics.mape(measured[picked], predicted[picked]),
                "alike_mape_pct": metrics.mape(measured[alike], predicted[alike]),
                "picked_bias_pct": 100 * float(np.mean(predicted[picked] / measured[picked] - 1)),
            }
        )
    return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def pareto(latency_ms: Floats, accuracy: Floats, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those rows that no other beats in both predicted latency and accuracy: what an exhaustive search returns."""
    order = rows[np.lexsort((-accuracy[rows], latency_ms[rows]))]
    best = np.maximum.accumulate(accuracy[order])
    picked: NDArray[np.intp] = order[np.concatenate([[True], best[1:] > best[:-1]])]
    return picked


def _alike(latency_ms: Floats, picked: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each picked row the ones nearest to it in predicted latency, picked or not."""
    order = rows[np.argsort(latency_ms[rows])]
    places = np.searchsorted(latency_ms[order], latency_ms[picked])
    starts = (places - _MATCHES // 2).clip(0, len(order) - _MATCHES)
    return np.asarray(order[(starts[:, None] + np.arange(_MATCHES)).ravel()], np.intp)


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Least share within 10 %, of GPUs and of server CPUs, and errors under search pressure."""
    for figure, devices, what in (
        ("nb201_within10_min_gpu_pct", [d for d in NB201_DEVICES if is_gpu(d)], "15 GPU columns"),
        ("nb201_within10_min_server_pct", list(SERVERS), "4 server-CPU columns"),
    ):
        least = min(devices, key=lambda device: found[device][COUNTED]["within_10_pct"])
        reached = sum(found[device][COUNTED]["within_10_pct"] >= _GOAL_PCT for device in devices)
        limit = ceilings()["nb201", least]["within_10_pct"]
        yield Figure(
            figure=figure,
            value=round(found[least][COUNTED]["within_10_pct"], 2),
            unit="%",
            goal=_GOAL_PCT,
            better="higher",
            peer=f"a model given 12,500 cells of {least}: {limit:.1f} %",
            protocol=f"{TRAINED} training cells, all others that are connected held out, mean over {_SEEDS} seeds; the "
            f"least of {what}, {least}; {reached} of them reach the goal",
            command=command,
        )
    means = {
        score: float(np.mean([found[device][COUNTED][score] for device in _timed()]))
        for score in ("mape_pct", "picked_mape_pct", "alike_mape_pct")
    }
    for figure, score, goal, what in (
        ("search_pressure_mape_ratio", "mape_pct", _RATIO_GOAL, "all held-out cells"),
        ("search_pressure_alike_ratio", "alike_mape_pct", None, f"the {_MATCHES} cells nearest in predicted latency"),
    ):
        yield Figure(
            figure=figure,
            value=round(means["picked_mape_pct"] / means[score], 3),
            unit="(ratio)",
            goal=goal,
            better="lower",
            peer=f"{what}: MAPE {means[score]:.2f} %",
            protocol=f"MAPE on the Pareto set of CIFAR-10 accuracy and predicted latency over all held-out cells, over "
            f"MAPE on {what}; {COUNTED} predictor, means over 19 GPU and server columns and {_SEEDS} seeds",
            command=command,
        )


def _timed() -> list[str]:
    return [device for device in NB201_DEVICES if is_gpu(device) or device in SERVERS]
