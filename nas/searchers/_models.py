"""Models of a loss over a space, for the searcher that picks by them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ...predictors import AdditivePredictor, LearnedPredictor, MlpPredictor, QuadraticPredictor
from ...predictors.processes import UNUSED, ChoiceProcess, Form, best_form, likeness_features
from ..spaces import Codes, SearchSpace

Floats = NDArray[np.float64]

_GROWTH: Final = 1.2  # by which the evaluations must have grown before another form of covariance is looked for
_COVERAGE: Final = 0.6827  # of an interval of one standard deviation to both sides
_LEAST_DEVIATION: Final = 1e-6
_MOST_SCORE: Final = 4.0  # beyond it a value says no more, and its exponential stays handy


class Belief(Protocol):
    """What a model thinks of c candidates."""

    @property
    def means(self) -> Floats:
        """Shape ``[c]``."""

    @property
    def deviations(self) -> Floats:
        """Standard deviations, shape ``[c]``."""

    def observe(self, index: int) -> None:
        """One of them is going to be evaluated: be surer of what it tells about."""


class Model(ABC):
    """Learns one loss, from codes of a space with values near 0 and a spread near 1."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._counts = tuple(len(decision.choices) for decision in space.decisions)

    @abstractmethod
    def fit(self, codes: Codes, values: Floats) -> None:
        """Learn anew from n canonical codes, n x d, and their values, ``[n]``."""

    @abstractmethod
    def belief(self, codes: Codes) -> Belief:
        """What is likely of c canonical codes, c x d."""

    def _marked(self, codes: Codes) -> Codes:
        """Codes in which what is not used is no choice."""
        return np.where(self._space.used(codes), codes, UNUSED)


class ProcessModel(Model):
    """A Gaussian process; its form is looked for again whenever there is a fifth more to go by."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(space, seed)
        self._form: Form | None = None
        self._formed_by = 0

    def fit(self, codes: Codes, values: Floats) -> None:
        marked = self._marked(codes)
        if len(codes) >= _GROWTH * self._formed_by:
            self._form = best_form(marked, values, self._counts, self._form)
            self._formed_by = len(codes)
        self._process = ChoiceProcess.fitted(marked, values, self._counts, self._form)

    def belief(self, codes: Codes) -> Belief:
        return self._process.belief(self._marked(codes))


class PredictorModel(Model):
    """A predictor of latencies, which are positive: it learns the exponentials of the values."""

    def __init__(self, space: SearchSpace, seed: int, predictor: type[LearnedPredictor[Any]]) -> None:
        super().__init__(space, seed)
        self._predictor = predictor(seed=seed)

    def fit(self, codes: Codes, values: Floats) -> None:
        self._predictor.fit(self._encoded(codes), np.exp(values.clip(-_MOST_SCORE, _MOST_SCORE)))

    def belief(self, codes: Codes) -> Belief:
        encoded = self._encoded(codes)
        ends = np.log(self._predictor.predict_interval(encoded, _COVERAGE))
        means = np.log(self._predictor.predict_batch(encoded))
        return _Intervals(means, (0.5 * (ends[:, 1] - ends[:, 0])).clip(min=_LEAST_DEVIATION))

    def _encoded(self, codes: Codes) -> Floats:
        return likeness_features(self._marked(codes), self._counts, ordered=False)


class _Intervals:
    """The belief of a model that does not say what one candidate tells about another."""

    def __init__(self, means: Floats, deviations: Floats) -> None:
        self.means, self.deviations = means, deviations

    def observe(self, index: int) -> None:
        self.deviations[index] = _LEAST_DEVIATION


_PREDICTORS: Final[Mapping[str, type[LearnedPredictor[Any]]]] = {
    "additive": AdditivePredictor,
    "mlp": MlpPredictor,
    "quadratic": QuadraticPredictor,
}
MODELS: Final = ("process", *_PREDICTORS)


def make_model(kind: str, space: SearchSpace, seed: int) -> Model:
    """A model of one of the kinds in `MODELS`."""
    return ProcessModel(space, seed) if kind == "process" else PredictorModel(space, seed, _PREDICTORS[kind])
