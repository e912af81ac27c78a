"""`AccuracyPredictor`: accuracies of a space's architectures, learned from some (arXiv:1908.09791, section 3.4)."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ....networks.errors import UsageError
from ....predictors._perceptrons import trained
from ...spaces import Codes, SearchSpace

Floats: TypeAlias = npt.NDArray[np.float64]

_LEAST: Final = 2
_MEMBERS: Final = 4
_STEPS: Final = 600


class AccuracyPredictor:
    """Perceptrons on architectures written as ones and zeros, a place for each choice of each decision.

    Decisions that an architecture does not use have only zeros. What is standardised is the accuracy; the mean of four
    perceptrons is what counts.

    Args:
        space: of the architectures.
        hidden: width of each hidden layer; the paper has three of 400.
        seed: of all that is random.
    """

    def __init__(self, space: SearchSpace, *, hidden: Sequence[int] = (400, 400, 400), seed: int = 0) -> None:
        self.space, self.hidden, self.seed = space, tuple(hidden), seed
        self._layers: tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...] = ()
        self._centre, self._scale = 0.0, 1.0

    def fit(self, codes: npt.ArrayLike, accuracies_pct: npt.ArrayLike) -> "AccuracyPredictor":
        """Learn from n architectures, [n, d], and their accuracies, [n].

        Raises:
            UsageError: no valid codes, fewer than two, or not an accuracy for each.
        """
        inputs, wanted = self._inputs(self.space.validate(codes)), np.asarray(accuracies_pct, np.float64)
        if wanted.shape != (len(inputs),) or len(inputs) < _LEAST or not np.isfinite(wanted).all():
            raise UsageError(
                f"{len(inputs)} architectures, and accuracies of the shape {wanted.shape}",
                hint="give two architectures or more, and a finite accuracy for each",
            )
        self._centre, self._scale = float(wanted.mean()), max(float(wanted.std()), 1e-6)
        targets = ((wanted - self._centre) / self._scale).astype(np.float32)[:, None]
        self._layers = trained(
            inputs,
            targets,
            hidden=self.hidden,
            members=_MEMBERS,
            steps=_STEPS,
            learning_rate=1e-3,
            weight_decay=0.1,
            seed=self.seed,
        )
        return self

    def predict(self, codes: npt.ArrayLike) -> Floats:
        """Accuracies in percent, [n], of architectures, [n, d].

        Raises:
            UsageError: no valid codes, or nothing was learned yet.
        """
        if not self._layers:
            raise UsageError("the accuracy predictor has learned nothing", hint="call fit first")
        values = self._inputs(self.space.validate(codes))[None]
        for number, (weights, biases) in enumerate(self._layers):
            values = np.matmul(values, weights) + biases
            if number < len(self._layers) - 1:
                values = np.maximum(values, 0)
        found: Floats = values[..., 0].mean(axis=0).astype(np.float64) * self._scale + self._centre
        return found

    def _inputs(self, codes: Codes) -> npt.NDArray[np.float32]:
        used, codes = self.space.used(codes), self.space.canonical(codes)
        columns = [
            (codes[:, [j]] == np.arange(len(decision.choices))) & used[:, [j]]
            for j, decision in enumerate(self.space.decisions)
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)
