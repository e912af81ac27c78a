"""How well kernels without a row are judged by the rows of their like: errors of rows that were left out.

Two things are done with the rows of a table that was measured. Some are drawn at random, and the others predicted from
them (the learning curve). And `AdaptiveSampler` is asked what it would have measured, with its own rule of when to
stop; the others are predicted from those. Nothing is measured anew.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from lutra.luts import Interpolator, Measurement, Store, Table
from lutra.luts.interpolation import kernel_of, noise_of
from lutra.networks.lowering import Kernel
from lutra.profiler.sampling import AdaptiveSampler

from ._results import ROOT, Figure, note

_FOUND_IN: Final = ROOT / "build" / "bench"
_STORES: Final = ("ofa-mbv3.db", "proxyless.db", "onnxruntime-1.db")
"""Tables to judge by, the best first: of whole spaces, else of many networks."""

_SHARES: Final = (0.1, 0.2, 0.35, 0.5, 0.75)
_REPEATS: Final = 3
_TARGET: Final = 0.03
_Z90: Final = NormalDist().inv_cdf(0.95)
_Z95: Final = NormalDist().inv_cdf(0.975)


def measure(store: Path | None = None) -> dict[str, Any]:
    """Learning curve and replay of a table.

    Args:
        store: a store with one device; None takes the best that is in `build/bench`.

    Raises:
        FileNotFoundError: there is none.
    """
    path = _best_store() if store is None else store
    with Store.open(path, create=False, read_only=True) as opened:
        table = opened.table(opened.devices()[0])
    rows, kernels = _usable(table)
    note(f"interpolation: {len(rows)} kernels of {path.name}")
    return {
        "store": path.name,
        "kernels": len(rows),
        "families": len(Interpolator(table).check()),
        "median_halfwidth_pct": 100 * float(np.median([row.rel_halfwidth or 0.0 for row in rows])),
        "curve": [_drawn(table, rows, kernels, share) for share in _SHARES],
        "replay": _replayed(table, rows, kernels),
    }


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """Figures of the replay: what a user of adaptive sampling gets."""
    replay = found["replay"]
    protocol = (
        f"rows of {found['store']} ({found['kernels']} kernels of {found['families']} families); the adaptive sampler, "
        f"target {100 * _TARGET:g} %, took {replay['used']} of them, and the {replay['asked']} others that it left to "
        f"interpolation are predicted and compared; 90 % quantile of the errors {replay['p90_pct']:.1f} %"
    )
    return [
        Figure(
            figure="interpolation_median_error_pct",
            value=replay["median_pct"],
            unit="%",
            goal=3.0,
            better="lower",
            peer="nn-Meter and LitePred measure thousands of kernels a device for within 10 % of nine in ten networks",
            protocol=protocol,
            command=command,
        ),
        Figure(
            figure="interpolation_coverage_pct",
            value=replay["inside_pct"],
            unit="%",
            goal=None,
            better="higher",
            peer="",
            protocol=f"share of the same kernels whose latency lies within the stated 90 % interval; {protocol}",
            command=command,
        ),
        Figure(
            figure="interpolation_measured_share_pct",
            value=100 * replay["used"] / found["kernels"],
            unit="%",
            goal=None,
            better="lower",
            peer="",
            protocol=protocol,
            command=command,
        ),
    ]


def _best_store() -> Path:
    for name in _STORES:
        if (_FOUND_IN / name).is_file():
            return _FOUND_IN / name
    raise FileNotFoundError(f"no store to judge by in {_FOUND_IN}: measure one of {', '.join(_STORES)}")


def _usable(table: Table) -> tuple[list[Measurement], dict[str, Kernel]]:
    """Rows with a number and a kernel, in order of their keys, and those kernels."""
    rows = sorted((row for row in table.rows("kernel") if row.status != "failed"), key=lambda row: row.subject_key)
    kernels = {row.subject_key: kernel for row in rows if (kernel := kernel_of(row)) is not None}
    return [row for row in rows if row.subject_key in kernels and row.latency_ns > 0], kernels


def _drawn(
    table: Table, rows: Sequence[Measurement], kernels: Mapping[str, Kernel], share: float
) -> dict[str, float | int]:
    """Errors of the rows that were not drawn, over all repeats."""
    parts = []
    for repeat in range(_REPEATS):
        order = np.random.default_rng(repeat).permutation(len(rows))
        cut = round(share * len(rows))
        parts.append(_judged(table, [rows[i] for i in order[:cut]], [rows[i] for i in order[cut:]], kernels))
    return {"share": share, "used": round(share * len(rows))} | _summary(np.concatenate(parts))


def _replayed(table: Table, rows: Sequence[Measurement], kernels: dict[str, Kernel]) -> dict[str, float | int]:
    sampler = AdaptiveSampler(kernels, target_error=_TARGET)
    by_key = {row.subject_key: row for row in rows}
    used: list[Measurement] = []
    while keys := sampler.ask():
        news = [by_key[key] for key in keys if key in by_key]
        used += news
        sampler.tell(news)
    taken = {row.subject_key for row in used}
    rest = [row for row in rows if row.subject_key not in taken]
    held_out = sampler.held_out_error
    assert held_out is not None
    return {"used": len(used), "held_out_median_pct": 100 * held_out.median, "held_out_p90_pct": 100 * held_out.p90} | (
        _summary(_judged(table, used, rest, kernels))
    )


def _judged(
    table: Table, used: Sequence[Measurement], asked: Sequence[Measurement], kernels: Mapping[str, Kernel]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of each asked row: |ln(predicted / measured)|, and that over the stated deviation; NaN where not covered."""
    interpolator = Interpolator(Table(table.fingerprint, used), max_halfwidth=math.inf)
    answers = interpolator.answers([kernels[row.subject_key] for row in asked])
    judged = np.full((len(asked), 2), np.nan)
    for place, (row, answer, noise) in enumerate(zip(asked, answers, noise_of(asked), strict=True)):
        if answer.latency_ns is not None and answer.rel_halfwidth is not None:
            error = abs(math.log(answer.latency_ns / row.latency_ns))
            deviation = math.hypot(math.log1p(answer.rel_halfwidth) / _Z95, float(noise))
            judged[place] = error, error / deviation
    return judged


def _summary(judged: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | int]:
    covered = judged[~np.isnan(judged[:, 0])]
    median, p90 = np.quantile(covered[:, 0], (0.5, 0.9)) if len(covered) else (0.0, 0.0)
    return {
        "asked": len(judged),
        "covered": len(covered),
        "median_pct": 100 * float(median),
        "p90_pct": 100 * float(p90),
        "inside_pct": 100 * float(np.mean(covered[:, 1] <= _Z90)) if len(covered) else 0.0,
    }
