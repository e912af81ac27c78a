"""Latency of transformers on HAT's eight (task, device) sets, beside the predictors that were released with them."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from lutra.predictors import AdditivePredictor, LatencyPredictor, MlpPredictor, QuadraticPredictor, metrics

from .._results import Figure, note
from ..facts import SHARED
from ._data import Floats

RELEASED_MAPE: Final = {
    "iwslt14deen_gpu_titanxp": 6.98,
    "wmt14ende_cpu_raspberrypi": 3.80,
    "wmt14ende_cpu_xeon": 4.79,
    "wmt14ende_gpu_titanxp": 5.91,
    "wmt14enfr_cpu_raspberrypi": 0.88,
    "wmt14enfr_cpu_xeon": 3.99,
    "wmt14enfr_gpu_titanxp": 1.90,
    "wmt19ende_gpu_titanxp": 5.26,
}
MODELS: Final[Mapping[str, Callable[[], LatencyPredictor]]] = {
    "additive": AdditivePredictor,
    "quadratic": QuadraticPredictor,
    "mlp": MlpPredictor,
}
COUNTED: Final = "chosen"
_SEEDS: Final = 5
_TRAINED: Final = 0.8
_TESTED: Final = 0.1  # the tenth between chooses the model
_FIT_GOAL_S: Final = 30.0
_ENCODING: Final = slice(2, 12)


def measure() -> dict[str, Any]:
    """Errors on each set of each model, and of the one chosen by the validation tenth; means over the splits."""
    found: dict[str, Any] = {}
    for name, (codes, latency_ms) in hat_sets().items():
        splits = [_split(codes, latency_ms, seed) for seed in range(_SEEDS)]
        found[name] = {
            model: {score: float(np.mean([split[model][score] for split in splits])) for score in splits[0][model]}
            for model in (*MODELS, COUNTED)
        }
        note(f"{name}: " + ", ".join(f"{model} {scores['mape_pct']:.2f} %" for model, scores in found[name].items()))
    return found


def hat_sets() -> dict[str, tuple[Floats, Floats]]:
    """Encodings and latencies in ms of 2,000 sub-transformers each, by task and device."""
    path = SHARED / "transformers" / "hat_latency.parquet"
    if not path.exists():
        raise FileNotFoundError(f"measured data are not at {path}; set LUTRA_SHARED_DATA to their folder")
    table = pq.read_table(path)
    codes = np.stack([table[name].to_numpy().astype(np.float64) for name in table.column_names[_ENCODING]], axis=1)
    latency_ms = table["latency_mean_encoder"].to_numpy() + table["latency_mean_decoder"].to_numpy()
    names = [f"{t}_{h}" for t, h in zip(table["task"].to_pylist(), table["hardware"].to_pylist(), strict=True)]
    members = {name: np.array([other == name for other in names]) for name in dict.fromkeys(names)}
    return {name: (codes[rows], latency_ms[rows]) for name, rows in members.items()}


def _split(codes: Floats, latency_ms: Floats, seed: int) -> dict[str, dict[str, float]]:
    """Scores of each model on one split, and of the one that the validation tenth likes best."""
    order = np.random.default_rng(seed).permutation(len(codes))
    trained, validated, tested = np.split(order, [int(_TRAINED * len(codes)), int((1 - _TESTED) * len(codes))])
    found = {}
    for model, make in MODELS.items():
        begin = time.perf_counter()
        predictor = make().fit(codes[trained], latency_ms[trained])
        fit_s = time.perf_counter() - begin
        predicted = predictor.predict_batch(codes)
        ends = predictor.predict_interval(codes[tested], 0.9)
        inside = (ends[:, 0] <= latency_ms[tested]) & (latency_ms[tested] <= ends[:, 1])
        found[model] = {
            "validation_mape_pct": metrics.mape(latency_ms[validated], predicted[validated]),
            "mape_pct": metrics.mape(latency_ms[tested], predicted[tested]),
            "all_rows_mape_pct": metrics.mape(latency_ms, predicted),
            "within_10_pct": 100 * metrics.within(latency_ms[tested], predicted[tested]),
            "coverage_pct": 100 * float(inside.mean()),
            "fit_s": fit_s,
        }
    best = min(found, key=lambda model: found[model]["validation_mape_pct"])
    all_fits_s = sum(scores["fit_s"] for scores in found.values())
    return {**found, COUNTED: {**found[best], "fit_s": all_fits_s}}


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Sets on which the released predictors are beaten, and how long fitting takes."""
    for suffix, score, protocol in (
        ("", "mape_pct", "MAPE on the tenth that was held out, mean over 5 splits 80/10/10"),
        ("_same_rows", "all_rows_mape_pct", "MAPE on all 2,000 rows, four fifths of them trained on, as the peer's is"),
    ):
        missed = [
            f"{name} {found[name][COUNTED][score]:.2f} to {released} %"
            for name, released in RELEASED_MAPE.items()
            if found[name][COUNTED][score] >= released
        ]
        yield Figure(
            figure=f"hat_sets_beaten{suffix}",
            value=len(RELEASED_MAPE) - len(missed),
            unit="count",
            goal=8,
            better="higher",
            peer="predictors released with HAT, MAPE on all 2,000 rows, their training rows among them",
            protocol=f"of {', '.join(MODELS)} the one with the least error on the validation tenth, {protocol}; "
            f"not beaten: {'; '.join(missed) or 'none'}",
            command=command,
        )
    yield Figure(
        figure="hat_fit_s",
        value=round(max(found[name][COUNTED]["fit_s"] for name in RELEASED_MAPE), 3),
        unit="s",
        goal=_FIT_GOAL_S,
        better="lower",
        peer="",
        protocol=f"{', '.join(MODELS)}, all three, 1,600 rows, each fitted six times for its intervals; the slowest "
        "of eight sets",
        command=command,
    )
