"""`AccuracyEstimator`: the contract of everything that says which of several networks will be the more accurate."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...networks import Network
from ...networks.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

_Score = TypeVar("_Score")

Meaning = Literal["accuracy_pct", "shared_accuracy_pct", "count", "order"]
"""What kind of number a score is.

- ``accuracy_pct``: percent of held-out images that a network classifies rightly after a training of its own;
- ``shared_accuracy_pct``: the same with weights that were not trained for it alone, so lower;
- ``count``: something counted, such as parameters;
- ``order``: a number of which only the order means something.
"""

_log = logging.getLogger(__name__)


class NoScoreError(Exception):
    """An estimator has nothing to say of a network; its text says why. Never leaves `AccuracyEstimator.estimate`."""


@dataclass(frozen=True)
class Scores:
    """What an estimator says of n networks. More is better, whatever the meaning.

    Attributes:
        values: float64 [n]; NaN where there is no score.
        seconds: float64 [n], what each cost.
        failures: [n], why there is no score; None where there is one.
        meaning: what kind of number they are.
        notes: [n], how each came about, where the estimator has something to say of that (`AccuracyEstimator.note`).
    """

    values: Floats
    seconds: Floats
    failures: tuple[str | None, ...]
    meaning: Meaning
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def ranks(self) -> Floats:
        """Ranks from 1 for the worst to n for the best, [n]; equal ones share their mean. Networks without a score are
        the worst, all alike.
        """
        return ranks(np.where(np.isnan(self.values), -np.inf, self.values))


def ranks(values: Floats) -> Floats:
    """Ranks from 1 for the least of n numbers, [n]; equal ones share the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared: Floats = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return shared


class AccuracyEstimator(ABC):
    """Says of networks how accurate they will be, or at least which more than others.

    A subclass gives `_score`, its `meaning`, and registers itself under a name (`register`).
    `lutra.nas.testing.EstimatorContract` holds the tests that it must pass. The score of a network follows from the
    estimator's parameters, its seed and the network alone, unless the class says otherwise.

    Args:
        seed: of all random choices.

    Attributes:
        kind: the name it is registered under.
        meaning: what kind of number its scores are.
    """

    kind: ClassVar[str]
    meaning: ClassVar[Meaning]

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def estimate(self, networks: Sequence[Network]) -> Scores:
        """Scores of n networks, with what they cost. A network that cannot be scored has NaN and a reason.

        Raises:
            UsageError: something else than networks.
        """
        found, seconds, failures = self._each(networks, self._finite_score)
        values = np.array([np.nan if value is None else value for value in found], np.float64)
        notes = tuple("" if failure else self.note(n) for n, failure in zip(networks, failures, strict=True))
        return Scores(values, seconds, failures, self.meaning, notes)

    def note(self, network: Network) -> str:
        """How the score of a network that was estimated came about, for people; "" where there is nothing to say."""
        del network
        return ""

    def _each(
        self, networks: Sequence[Network], score: Callable[[Network], _Score]
    ) -> tuple[list[_Score | None], Floats, tuple[str | None, ...]]:
        """What ``score`` gives for each network (None where it has none to give), seconds, and reasons."""
        found: list[_Score | None] = []
        seconds, failures = np.zeros(len(networks)), list[str | None]()
        for i, network in enumerate(networks):
            if not isinstance(network, Network):
                raise UsageError(
                    f"entry {i} is a {type(network).__name__}, no Network",
                    hint="decode codes first: [space.decode(code) for code in codes]",
                )
            start, value, failure = time.perf_counter(), None, None
            try:
                value = score(network)
            except NoScoreError as error:
                failure = str(error)
                _log.info("%s has no score of %s: %s", network.name, self.kind, failure)
            seconds[i] = time.perf_counter() - start
            found.append(value)
            failures.append(failure)
        return found, seconds, tuple(failures)

    def _finite_score(self, network: Network) -> float:
        value = self._score(network)
        if not np.isfinite(value):
            raise NoScoreError(f"the score is {value}")
        return value

    @abstractmethod
    def _score(self, network: Network) -> float:
        """The score of one network.

        Raises:
            NoScoreError: it has none.
        """
