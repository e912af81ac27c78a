"""`QuadraticPredictor`: sizes and their products, fitted to least absolute relative errors in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ._batch import Batch
from ._domain import Domain
from ._features import pooled
from ._registry import register
from .learned import LearnedPredictor, Model

Floats = NDArray[np.float64]

_RIDGE: Final = 0.1  # on standardised columns, in samples: against columns that are nearly one
_ROUNDS: Final = 15
_LEAST_ERROR: Final = 0.1  # errors below this times the median count as this: weights stay finite
_FLOOR: Final = 0.1  # no prediction below this times the least latency


@dataclass(frozen=True)
class QuadraticModel:
    """``max(products(numbers) @ coefficients + constant_ms, floor_ms)``.

    Attributes:
        low: least of each of f numbers that was seen, shape ``[f]``.
        high: greatest, shape ``[f]``; numbers beyond are held there, for squares go astray.
        coefficients: of the numbers and their products, shape ``[f + f (f + 1) / 2]``.
        constant_ms: what every network takes besides.
        floor_ms: least prediction.
    """

    low: Floats
    high: Floats
    coefficients: Floats
    constant_ms: float
    floor_ms: float

    def latencies_ms(self, prepared: Floats) -> Floats:
        columns = _products(prepared.clip(self.low, self.high))
        return np.maximum(columns @ self.coefficients + self.constant_ms, self.floor_ms)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays = {"low": self.low, "high": self.high, "coefficients": self.coefficients}
        return {"constant_ms": self.constant_ms, "floor_ms": self.floor_ms}, arrays


@register("quadratic")
class QuadraticPredictor(LearnedPredictor[Floats]):
    """Latency as a quadratic form of sizes: widths times depths are work, and work is time.

    Takes encodings whose columns are sizes (widths, numbers of layers or heads), and networks by the ops, MACs and
    bytes of each kind. Measured latencies often have heavy tails, so the sum of absolute relative errors is minimised,
    by least squares that are weighted anew fifteen times (Schlossmacher, "An Iterative Technique for Absolute
    Deviations Curve Fitting", 1973).
    """

    def _prepared(self, batch: Batch, domain: Domain) -> Floats:
        if batch.networks is not None:
            return pooled(batch.networks, domain.kinds)
        assert batch.encodings is not None
        return batch.encodings

    def _trained(self, prepared: Floats, latencies_ms: Floats, domain: Domain) -> Model[Floats]:  # noqa: ARG002
        low, high = prepared.min(axis=0), prepared.max(axis=0)
        columns = _products(prepared)
        centre, scale = columns.mean(axis=0), columns.std(axis=0)
        scale = np.where(scale > 1e-9 * np.abs(centre).clip(min=1e-300), scale, np.inf)
        typical = float(np.median(latencies_ms))
        standard = np.concatenate([(columns - centre) / scale, np.ones((len(columns), 1))], axis=1)
        solution = typical * _least_absolute(standard * (typical / latencies_ms)[:, None])
        coefficients = solution[:-1] / scale
        return QuadraticModel(
            low=low,
            high=high,
            coefficients=coefficients,
            constant_ms=float(solution[-1] - centre @ coefficients),
            floor_ms=_FLOOR * float(latencies_ms.min()),
        )

    def _restored(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Model[Floats]:
        held = {name: arrays[name] for name in ("low", "high", "coefficients")}
        return QuadraticModel(constant_ms=float(state["constant_ms"]), floor_ms=float(state["floor_ms"]), **held)


def _products(numbers: Floats) -> Floats:
    """The numbers and all products of two of them, shape ``[n, f + f (f + 1) / 2]``."""
    first, second = np.triu_indices(numbers.shape[1])
    return np.concatenate([numbers, numbers[:, first] * numbers[:, second]], axis=1)


def _least_absolute(relative: Floats) -> Floats:
    """Coefficients for which the columns come nearest to 1; the last column is the constant and free of the ridge."""
    ridge = np.append(np.full(relative.shape[1] - 1, _RIDGE), 1e-12)
    weights = np.ones(len(relative))
    for _ in range(_ROUNDS):
        weighted = relative * weights[:, None]
        solution = np.linalg.solve(weighted.T @ relative + np.diag(ridge), weighted.sum(axis=0))
        errors = np.abs(relative @ solution - 1)
        typical = max(float(np.median(errors)), 1e-12)
        weights = typical / errors.clip(min=_LEAST_ERROR * typical)
    return np.asarray(solution, np.float64)
