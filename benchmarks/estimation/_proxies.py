"""Scores without training on cells of NAS-Bench-201: beside accuracies, beside published scores, beside parameters."""

import csv
import json
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import ArrayLike

from lutra.nas.accuracy import estimator_class, load_images, ranks
from lutra.networks import zoo

from .._parts import WORK
from .._results import Figure
from ..facts import SHARED

_CELLS: Final = 150
_PROCESSES: Final = 2
_CHUNK: Final = 29  # 725 cells in 25 parts
_IMAGES: Final = 512  # training images that batches are drawn of

_SAME: Final = {
    "synflow": "synflow",
    "naswot": "nwot",
    "gradsign": "gradsign_noise",
    "grad_norm": "grad_norm",
    "snip": "snip",
    "grasp": "grasp",
    "fisher": "fisher",
    "jacov": "jacov",
    "params": "params",
    "macs": "flops",
    "zen": "zen_exact",
    "az-nas": "",
}
"""Estimators, and the columns that are the same score computed elsewhere; none for AZ-NAS."""

_OTHERS: Final = ("grad_norm", "snip", "grasp", "fisher", "jacov", "zen", "az-nas")

_ON_IMAGES: Final = frozenset({"grad_norm", "snip", "grasp", "fisher", "jacov"})
"""Scores that are taken on training images of CIFAR-10, as the published ones were. The others see noise."""


def _rows(cells: int) -> list[dict[str, str]]:
    """The first cells of the file, those before all others that GradSign was computed for."""
    with (SHARED / "nasbench201" / "proxy_recompute_400.csv").open() as file:
        rows = list(csv.DictReader(file))
    return sorted(rows, key=lambda row: row["gradsign_noise"] == "")[:cells]


def _estimate(kind: str, cells: Sequence[str]) -> tuple[list[float], float]:
    """Scores of cells, NaN where there is none, and the seconds of CPU time that a cell took; on one thread."""
    torch.set_num_threads(1)
    arguments: dict[str, Any] = {"shortcuts": True} if kind == "zen" else {}
    if kind in _ON_IMAGES:
        train = load_images(SHARED / "images" / "cifar10-train.parquet")
        arguments["images"] = train.subset(np.random.default_rng(0).permutation(len(train))[:_IMAGES])
    estimator = estimator_class(kind)(**arguments)
    begin = time.process_time()  # what else the machine does has no part in it
    scores = estimator.estimate([zoo.build(f"nasbench201/{cell}") for cell in cells])
    return scores.values.tolist(), (time.process_time() - begin) / len(cells)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn"))


def _spearman(first: ArrayLike, second: ArrayLike) -> tuple[float, int]:
    """Rank correlation over the cells that both have a number of, and how many these are."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(ranks(a[both]), ranks(b[both]))[0, 1]), int(both.sum())


def measure() -> dict[str, Any]:
    """Those that have goals, and what is counted; see `_measured`."""
    return _measured([kind for kind in _SAME if kind not in _OTHERS])


def measure_others() -> dict[str, Any]:
    """The others, which take most of the time; see `_measured`."""
    return _measured(_OTHERS)


def _measured(kinds: Sequence[str], cells: int = _CELLS) -> dict[str, Any]:
    """Rank correlations by estimator: with accuracy, of parameters on the same cells, with the same score elsewhere.

    A measurement that was killed goes on with the scores that it had not finished.
    """
    rows = _rows(cells)
    accuracy = [float(row["val_accuracy"]) for row in rows]
    params = [float(row["params"]) for row in rows]
    names = [row["arch_str"] for row in rows]
    signed = sum(row["gradsign_noise"] != "" for row in rows)
    counts = {kind: signed if kind == "gradsign" else len(rows) for kind in kinds}
    kept = {kind: WORK / f"accuracy-proxies-{len(rows)}-{kind}.json" for kind in kinds}
    with _pool() as pool:
        missing = [kind for kind, path in kept.items() if not path.exists()]
        work = {pool.submit(_estimate, kind, names[: counts[kind]]): kind for kind in missing}
        for done in as_completed(work):
            kept[work[done]].write_text(json.dumps(done.result()), encoding="utf-8")
    made = {kind: json.loads(path.read_text(encoding="utf-8")) for kind, path in kept.items()}
    for path in kept.values():
        path.unlink()
    found = {}
    for kind, (values, seconds) in made.items():
        n = counts[kind]
        with_accuracy, scored = _spearman(values, accuracy[:n])
        alone = np.where(np.isfinite(values), params[:n], np.nan)
        entry = {"accuracy": with_accuracy, "cells": scored, "seconds": seconds}
        entry["params"] = _spearman(alone, accuracy[:n])[0]
        if column := _SAME[kind]:
            entry["elsewhere"] = _spearman(values, [float(row[column]) for row in rows[:n]])[0]
        found[kind] = entry
    return found


def measure_synflow() -> dict[str, Any]:
    """Log-synflow of all 725 cells with published scores: correlation, and cells a second of CPU time on two cores."""
    table = pq.read_table(SHARED / "nasbench201" / "zero_cost_725.parquet")
    rows = [row for row in table.to_pylist() if row["dataset"] == "cifar10"]
    cells = [row["arch_str"] for row in rows]
    parts = [cells[i : i + _CHUNK] for i in range(0, len(cells), _CHUNK)]
    work = partial(_estimate, "synflow")
    with _pool() as pool:
        list(pool.map(work, [cells[:1]] * _PROCESSES))  # imports
        made = list(pool.map(work, parts))
    values = [value for scores, _ in made for value in scores]
    seconds = sum(each * len(part) for (_, each), part in zip(made, parts, strict=True))
    correlation, scored = _spearman(values, [row["synflow"] for row in rows])
    return {"correlation": correlation, "cells": scored, "cells_per_s": _PROCESSES * len(cells) / seconds}


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Correlations of the scores that definitions were to reproduce, and of parameters."""
    for figure, kind, of, goal, what in (
        ("naswot_rank_correlation", "naswot", "elsewhere", 0.95, "NASWOT of noise with NASLib's of CIFAR-10"),
        ("gradsign_rho", "gradsign", "accuracy", 0.73, "GradSign (16 images of noise) with CIFAR-10 accuracy"),
        ("params_rank_correlation", "params", "accuracy", None, "parameters with CIFAR-10 accuracy"),
        ("az_nas_rank_correlation", "az-nas", "accuracy", None, "AZ-NAS with CIFAR-10 accuracy"),
    ):
        if kind not in found:
            continue
        entry = found[kind]
        yield Figure(
            figure=figure,
            value=round(entry[of], 4),
            unit="rho",
            goal=goal,
            better="higher",
            peer=f"parameters on the same cells: {entry['params']:.3f}" if of == "accuracy" else "NASLib",
            protocol=f"Spearman's correlation of {what}, {entry['cells']} cells of NAS-Bench-201",
            command=command,
        )


def figures_synflow(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Log-synflow."""
    for figure, value, unit, goal, what in (
        (
            "synflow_rank_correlation",
            round(found["correlation"], 5),
            "rho",
            0.99,
            "Spearman's correlation with NASLib's",
        ),
        (
            "synflow_cells_per_s",
            round(found["cells_per_s"], 1),
            "cells/s",
            20.0,
            "in two processes of one thread, from strings, by their CPU time",
        ),
    ):
        yield Figure(
            figure=figure,
            value=value,
            unit=unit,
            goal=goal,
            better="higher",
            peer="NASLib" if unit == "rho" else "",
            protocol=f"log-synflow of {found['cells']} cells of NAS-Bench-201, {what}",
            command=command,
        )


def table(found: Mapping[str, Any]) -> str:
    """All scores beside parameters, as Markdown."""
    which = "" if "params" in found else ": others"
    lines = [f"## Scores without training on NAS-Bench-201 (CIFAR-10){which}\n"]
    lines.append(
        "| score | with accuracy | of parameters on the same | | with the score elsewhere | cells | CPU s a cell |"
    )
    lines.append("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    for kind, entry in sorted(found.items(), key=lambda item: -item[1]["accuracy"]):
        verdict = "better" if entry["accuracy"] > entry["params"] else "**does not beat params**"
        cells = (
            kind,
            f"{entry['accuracy']:.3f}",
            f"{entry['params']:.3f}",
            "" if kind == "params" else verdict,
            f"{entry['elsewhere']:.3f}" if "elsewhere" in entry else "",
            str(entry["cells"]),
            f"{entry['seconds']:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
