"""What kernels without a row cost, by boosted trees on the rows of a table, one model for each family of kernels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..luts import Table
from ..luts.features import VECTOR, KernelShape, log_rounded, shape_of, size_matrix
from ..luts.interpolation import kernel_of
from ..luts.nonnegative import nonnegative_least_squares
from ..luts.trees import BoostedTrees
from ._conformal import folds, log_halfwidth

Floats = NDArray[np.float64]

LEAST_ROWS: Final = 8
"""Rows that a family needs for trees of its own, and a table for the trees of all its rows."""

ANY: Final = "any family"
"""Name of the trees that were grown on all rows: they judge kernels of families with too few."""

_CACHES: Final = (32 << 10, 512 << 10, 4 << 20)  # bytes: about where near caches end, on any processor
_SLACK: Final = 0.05  # so far beyond the rows, in logarithms, still counts as among them
_BEYOND: Final = 2.0  # the interval is so much wider beyond the rows
_UNSEEN: Final = 4.0  # and so much wider for a kind that has none
_COVERAGE: Final = 0.95  # rows hold half of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Growing:
    """How trees are grown; see `BoostedTrees.grown`."""

    rounds: int
    depth: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said of one kernel.

    Attributes:
        latency_ns: its latency with cold weights.
        log_halfwidth: half the 95 % interval, in logarithms.
        inside: it lies among the rows.
    """

    latency_ns: float
    log_halfwidth: float
    inside: bool


@dataclass(frozen=True)
class FamilyTrees:
    """Latency of kernels of one family: trees among its rows, and beyond them a trend.

    Beyond the rows, where trees are flat, latency grows like ``c0 + c1 macs + c2 activation bytes + c3 weight bytes``
    with non-negative coefficients fitted to relative errors.

    Attributes:
        kinds: that have rows, sorted.
        trees: say the logarithm of the latency in ns.
        trend: the coefficients, shape ``[4]``.
        low: least amounts (MACs, activation bytes, weight bytes) of the rows, shape ``[3]``.
        high: greatest, shape ``[3]``.
        errors: absolute logarithmic errors of rows that were held out, shape ``[n]``.
        resident: latency with weights in the last cache over that with cold ones, the median of the rows.
        general: whether the rows are of all families.
    """

    kinds: tuple[str, ...]
    trees: BoostedTrees
    trend: Floats
    low: Floats
    high: Floats
    errors: Floats
    resident: float
    general: bool

    @classmethod
    def grown(
        cls, shapes: Sequence[KernelShape], log_ns: Floats, resident: float, how: Growing, *, general: bool
    ) -> Self:
        """Grow the trees on n rows, and on four fifths of them at a time for the errors."""
        kinds = tuple(sorted({shape.kind for shape in shapes}))
        matrix, rising = _matrix(shapes, kinds, general=general)
        errors = np.empty(len(shapes))
        options = {"rounds": how.rounds, "depth": how.depth, "learning_rate": how.learning_rate, "seed": how.seed}
        for rest, held_out in folds(len(shapes), np.random.default_rng(how.seed)):
            part = BoostedTrees.grown(matrix[rest], log_ns[rest], rising=rising, **options)  # type: ignore[arg-type]
            errors[held_out] = np.abs(part.predict(matrix[held_out]) - log_ns[held_out])
        amounts = _amounts(shapes)
        return cls(
            kinds=kinds,
            trees=BoostedTrees.grown(matrix, log_ns, rising=rising, **options),  # type: ignore[arg-type]
            trend=_trend(amounts, log_ns),
            low=amounts.min(axis=0),
            high=amounts.max(axis=0),
            errors=errors,
            resident=resident,
            general=general,
        )

    def judge(self, shape: KernelShape) -> Judgement:
        """Say what one kernel costs."""
        matrix, _ = _matrix([shape], self.kinds, general=self.general)
        amounts = _amounts([shape])
        held = np.clip(amounts, self.low, self.high)
        beyond = np.abs(np.log((amounts + 1) / (held + 1))).max() > _SLACK
        unseen = self.general or shape.kind not in self.kinds
        grown = float(np.log(_trended(amounts, self.trend) / _trended(held, self.trend))[0])
        factor = _UNSEEN if unseen else _BEYOND if beyond else 1.0
        return Judgement(
            latency_ns=math.exp(float(self.trees.predict(matrix)[0]) + grown),
            log_halfwidth=factor * log_halfwidth(self.errors, _COVERAGE) + abs(grown) / 2,
            inside=not (beyond or unseen),
        )

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain JSON data, and arrays."""
        own = {"trend": self.trend, "low": self.low, "high": self.high, "errors": self.errors}
        state = {"kinds": list(self.kinds), "resident": self.resident, "general": self.general}
        return state, {**own, **self.trees.arrays()}

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` gave; raises `KeyError` or `ValueError` for anything else."""
        return cls(
            kinds=tuple(map(str, state["kinds"])),
            trees=BoostedTrees.from_arrays(arrays),
            trend=arrays["trend"],
            low=arrays["low"],
            high=arrays["high"],
            errors=arrays["errors"],
            resident=float(state["resident"]),
            general=bool(state["general"]),
        )


def grown_families(table: Table, how: Growing) -> dict[str, FamilyTrees]:
    """Trees for each family of a table with enough rows, and those of `ANY`."""
    families: dict[str, list[tuple[KernelShape, float, float]]] = {}
    for row in sorted(table.rows("kernel"), key=lambda row: row.subject_key):
        kernel = kernel_of(row)
        if row.status == "failed" or row.latency_ns <= 0 or kernel is None:
            continue
        shape = shape_of(kernel)
        warm_ns = table.lookup(row.subject_key, cold_share=0.0).latency_ns or row.latency_ns
        families.setdefault(shape.family, []).append((shape, row.latency_ns, warm_ns / row.latency_ns))
    enough = {name: rows for name, rows in families.items() if len(rows) >= LEAST_ROWS}
    every = [row for rows in families.values() for row in rows]
    entered = enough | ({ANY: every} if len(every) >= LEAST_ROWS else {})
    return {
        name: FamilyTrees.grown(
            [shape for shape, _, _ in rows],
            np.log([latency_ns for _, latency_ns, _ in rows]),
            float(np.median([ratio for _, _, ratio in rows])),
            how,
            general=name == ANY,
        )
        for name, rows in entered.items()
    }


def _amounts(shapes: Sequence[KernelShape]) -> Floats:
    rows = [(shape.macs, shape.activation_bytes, shape.weight_bytes) for shape in shapes]
    return np.array(rows, np.float64)


def _trended(amounts: Floats, trend: Floats) -> Floats:
    return np.asarray(np.maximum(trend[0] + amounts @ trend[1:], 1e-9), np.float64)


def _trend(amounts: Floats, log_ns: Floats) -> Floats:
    """Coefficients, shape ``[4]``, with the least sum of squared relative errors."""
    columns = np.concatenate([np.ones((len(amounts), 1)), amounts], axis=1)
    scales = np.maximum(columns.max(axis=0), 1e-300)
    typical = float(np.exp(np.median(log_ns)))
    relative = columns / scales * (typical / np.exp(log_ns))[:, None]
    penalised = np.vstack([relative, 1e-3 * np.eye(len(scales))])
    wanted = np.concatenate([np.ones(len(relative)), np.zeros(len(scales))])
    return np.asarray(nonnegative_least_squares(penalised, wanted) * typical / scales, np.float64)


def _matrix(shapes: Sequence[KernelShape], kinds: Sequence[str], *, general: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """What trees see of n kernels, shape ``[n, f]``, and which of it only ever costs more, shape ``[f]``.

    The logarithms of the costs, MACs for each byte, and which caches the tensors fit; within a family also all sizes,
    how much they grow when rounded up to whole vectors, and the kind.
    """
    amounts = _amounts(shapes)
    logs, total = np.log1p(amounts), amounts[:, 1:].sum(axis=1, keepdims=True)
    parts = [(logs, True), (total**2 / (total**2 + np.array(_CACHES, np.float64) ** 2), True)]
    parts.append((logs[:, :1] - np.log1p(total), False))
    if general:
        parts.append((np.array([[float(len(shape.ops))] for shape in shapes]), True))
    else:
        sizes = size_matrix(shapes)
        parts += [(sizes, True), (log_rounded(sizes, VECTOR), True)]
        parts.append((np.array([[float(shape.kind == kind) for kind in kinds] for shape in shapes]), False))
    rising = np.concatenate([np.full(part.shape[1], rises) for part, rises in parts])
    return np.concatenate([part for part, _ in parts], axis=1), rising
