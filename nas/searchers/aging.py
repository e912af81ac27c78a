"""Regularised (aging) evolution (Real et al. 2019, arXiv:1802.01548, algorithm 1)."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .growing import grown
from .sampling import ONE_DECISION, Sampler


@register("aging")
class AgingSearcher(Searcher):
    """Each child is a mutant of the best of a few; it takes the place of the oldest, however good that is.

    A mutant differs in one decision. Other than in the paper none is evaluated twice: a mutant that was tried before,
    or breaks a constraint, is thrown away for that of another few.

    Args:
        space: where to search.
        objectives: one.
        violation: what must be 0.
        seed: of all random choices.
        population: how many live at a time; as many random ones begin.
        sample: the best of so many, drawn with replacement, is the parent.
        growth: probability with which a mutant grows, so that it can begin with the function of its parent
            (`growing.grown`); for accuracies with inherited weights.

    Raises:
        UsageError: a population or sample of none, or no probability.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: int = 1,
        violation: Violation | None = None,
        seed: int = 0,
        population: int = 100,
        sample: int = 25,
        growth: float = 0.0,
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        if population < 1 or sample < 1:
            raise UsageError(f"a population of {population} and samples of {sample}", hint="give at least 1 of each")
        if not 0 <= growth <= 1:
            raise UsageError(f"a growth of {growth}", hint="give a probability from 0 to 1")
        self.population, self.sample, self.growth = population, sample, growth
        self._sampler = Sampler(space, violation, self.rng)
        self._first = population  # how many of the random ones are still to be asked for
        self._living: deque[tuple[NDArray[np.int64], float]] = deque(maxlen=population)

    def ask(self, n: int) -> Codes:
        if self._first:
            codes = self._sampler.draw(min(n, self._first))
            self._first -= len(codes)
            return codes
        if not self._living:
            return self.space.sample(0, self.rng)
        return self._sampler.breed(n, self._mutants)

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        losses = np.where(evaluations.ok, evaluations.losses[:, 0], np.inf)
        self._living.extend(zip(codes, losses.tolist(), strict=True))

    def _mutants(self, n: int) -> Codes:
        losses = np.array([loss for _, loss in self._living])
        drawn = self.rng.integers(0, len(losses), (n, self.sample))
        parents = drawn[np.arange(n), losses[drawn].argmin(axis=1)]
        codes = np.stack([self._living[i][0] for i in parents.tolist()])
        grow = self.rng.random(n) < self.growth if self.growth else np.zeros(n, np.bool_)
        codes[grow] = grown(self.space, codes[grow], self.rng)
        codes[~grow] = self.space.mutate(codes[~grow], self.rng, ONE_DECISION)
        return codes
