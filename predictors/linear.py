"""`AdditivePredictor`: a latency as a sum over choices, or over ops; in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..luts.choices import ChoiceCosts
from ..luts.nonnegative import nonnegative_least_squares
from ..networks.errors import UsageError
from ._batch import Batch
from ._domain import Domain
from ._features import amounts
from ._registry import register
from .learned import LearnedPredictor, Model

Floats = NDArray[np.float64]

_RIDGES: Final = tuple(10.0**power for power in range(-6, 3))
_FREE: Final = 1e3  # the constant is so much larger a column that its penalty does not count
_FLOOR: Final = 0.1  # no prediction below this times the least latency


@dataclass(frozen=True)
class AdditiveModel:
    """``max(matrix @ coefficients + constant_ms, floor_ms)``; coefficients of shape ``[f]``."""

    coefficients: Floats
    constant_ms: float
    floor_ms: float

    def latencies_ms(self, prepared: Floats | NDArray[np.float32]) -> Floats:
        return np.maximum(prepared @ self.coefficients + self.constant_ms, self.floor_ms)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {"constant_ms": self.constant_ms, "floor_ms": self.floor_ms}, {"coefficients": self.coefficients}

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "AdditiveModel":
        """What `state` described."""
        return cls(arrays["coefficients"], float(state["constant_ms"]), float(state["floor_ms"]))


@register("additive")
class AdditivePredictor(LearnedPredictor[Floats]):
    """The closed-form baseline that every other model has to beat.

    - Encodings: a constant, and a number of ms for each choice at each position (columns of many different numbers
      count in proportion), by ridge regression on relative errors. The ridge is the one of nine with the least squared
      error on samples left out one at a time, which for ridge regression has a closed form (Golub, Heath, Wahba,
      "Generalized cross-validation", Technometrics 21, 1979, equation 1.4).
    - Networks: a constant, and for each op kind ms for each op, for each MAC and for each byte, none of them negative,
      by non-negative least squares on relative errors.
    """

    def choice_costs(self) -> ChoiceCosts:
        """The model as a table of ms for each choice, for millions of architectures a second.

        Raises:
            UsageError: it was not fitted to encodings whose columns are all choices from 0 on.
        """
        fitted = self._require_fitted()
        values = fitted.domain.values
        if values is None or any(known is None or known[0] < 0 for known in values):
            raise UsageError("it was not fitted to encodings by choices", hint="encode each choice as a number from 0")
        assert isinstance(fitted.model, AdditiveModel)
        columns = [known for known in values if known is not None]
        costs = np.full((len(columns), 1 + max(known[-1] for known in columns)), np.nan, np.float32)
        ends = np.cumsum([len(known) for known in columns])
        for row, known, numbers in zip(costs, columns, np.split(fitted.model.coefficients, ends[:-1]), strict=True):
            row[list(known)] = numbers
        return ChoiceCosts(costs, start_ms=fitted.model.constant_ms)

    def _prepared(self, batch: Batch, domain: Domain) -> Floats:
        return amounts(batch, domain)

    def _trained(self, prepared: Floats, latencies_ms: Floats, domain: Domain) -> Model[Floats]:
        return additive_model(prepared, latencies_ms, domain)

    def _restored(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Model[Floats]:
        return AdditiveModel.restored(state, arrays)


def additive_model(matrix: Floats, latencies_ms: Floats, domain: Domain) -> AdditiveModel:
    """The additive model of n samples; see `AdditivePredictor` for what it minimises.

    Args:
        matrix: `amounts` of the samples, shape ``[n, f]``.
        latencies_ms: shape ``[n]``.
        domain: what they are.
    """
    scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12)
    typical = float(np.median(latencies_ms))
    columns = np.concatenate([matrix / scales, np.full((len(matrix), 1), _FREE)], axis=1)
    relative = columns * (typical / latencies_ms)[:, None]
    solution = _nonnegative(relative) if domain.values is None else _ridge(relative)
    return AdditiveModel(
        coefficients=solution[:-1] * typical / scales,
        constant_ms=float(solution[-1]) * _FREE * typical,
        floor_ms=_FLOOR * float(latencies_ms.min()),
    )


def _ridge(matrix: Floats) -> Floats:
    """Ridge regression of 1 on the columns, the ridge chosen by the errors of samples left out one at a time."""
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    target = left.sum(axis=0)
    best, least = np.zeros(matrix.shape[1]), np.inf
    for ridge in _RIDGES:
        shrunk = singular**2 / (singular**2 + ridge)
        leverage = np.minimum((left**2) @ shrunk, 1 - 1e-6)
        errors = (1 - left @ (shrunk * target)) / (1 - leverage)
        if float(errors @ errors) < least:
            least = float(errors @ errors)
            best = right.T @ (singular / (singular**2 + ridge) * target)
    return best


def _nonnegative(matrix: Floats) -> Floats:
    """Coefficients, none negative, with the least sum of squared relative errors, drawn a little towards 0."""
    penalty = 1e-4 * np.eye(matrix.shape[1])
    return nonnegative_least_squares(np.vstack([matrix, penalty]), np.r_[np.ones(len(matrix)), np.zeros(len(penalty))])
