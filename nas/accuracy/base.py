"""`AccuracyEstimator`: the contract of everything that says which of several networks will be the more accurate."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...networks import Network
from ...networks.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

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
    """

    values: Floats
    seconds: Floats
    failures: tuple[str | None, ...]
    meaning: Meaning

    def __len__(self) -> int:
        return len(self.values)

    def ranks(self) -> Floats:
        """Ranks from 1 for the worst to n for the best, [n]; equal ones share their mean, those without a score last.

        Networks without a score share the mean of the lowest ranks.
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
        require_networks(networks)
        values, seconds, failures = np.full(len(networks), np.nan), np.zeros(len(networks)), []
        for i, network in enumerate(networks):
            start, failure = time.perf_counter(), None
            try:
                values[i] = self._score(network)
                if not np.isfinite(values[i]):
                    failure, values[i] = f"the score is {values[i]}", np.nan
            except NoScoreError as error:
                failure = str(error)
            seconds[i] = time.perf_counter() - start
            failures.append(failure)
            if failure is not None:
                _log.info("%s has no score of %s: %s", network.name, self.kind, failure)
        return Scores(values, seconds, tuple(failures), self.meaning)

    @abstractmethod
    def _score(self, network: Network) -> float:
        """The score of one network.

        Raises:
            NoScoreError: it has none.
        """


def require_networks(networks: Sequence[Network]) -> None:
    """Raises `UsageError` where something is no network."""
    for i, network in enumerate(networks):
        if not isinstance(network, Network):
            raise UsageError(
                f"entry {i} is a {type(network).__name__}, no Network",
                hint="decode codes first: [space.decode(code) for code in codes]",
            )
