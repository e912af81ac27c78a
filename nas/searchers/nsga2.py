"""NSGA-II (Deb et al. 2002, doi:10.1109/4235.996017) on integer codes: the trade-off between several objectives."""

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ..pareto import crowding, front_ranks
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .sampling import ONE_DECISION, Sampler


@register("nsga2")
class Nsga2Searcher(Searcher):
    """Parents win tournaments by front, then by distance to their neighbours; so do those who survive.

    A child takes each decision from either of two parents, or is a copy of one; then one decision takes another choice.
    Other than in the paper, generations are small, so that good children have children sooner; all of the first front
    survives, however many they are; only what keeps the constraints is evaluated, and nothing twice.

    Args:
        space: where to search.
        objectives: one or more.
        violation: what must be 0.
        seed: of all random choices.
        population: how many survive, unless the first front has more; and how many random ones begin.
        children: how many are asked for in each generation after the first.
        crossover: probability with which a child has two parents.

    Raises:
        UsageError: a population below 2, no children, a probability outside 0 .. 1.
    """

    several = True

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: int = 1,
        violation: Violation | None = None,
        seed: int = 0,
        population: int = 25,
        children: int = 5,
        crossover: float = 0.2,
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        if population < 2 or children < 1 or not 0 <= crossover <= 1:
            raise UsageError(
                f"a population of {population} with {children} children, crossover={crossover}",
                hint="give at least 2 and 1, and a probability",
            )
        self.population, self.children, self.crossover = population, children, crossover
        self.batch = children
        self._sampler = Sampler(space, violation, self.rng)
        self._first = population  # how many of the random ones are still to be asked for
        self._ready = space.sample(0, self.rng)  # of this generation, still to be asked for
        self._unknown = 0  # asked for and not told yet
        self._codes, self._losses = self._ready, np.empty((0, objectives))

    def ask(self, n: int) -> Codes:
        if not len(self._ready) and not self._unknown:
            self._ready = self._generation()
        asked, self._ready = self._ready[:n], self._ready[n:]
        self._unknown += len(asked)
        return asked

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        losses = np.where(evaluations.ok[:, None], evaluations.losses, np.nan)
        self._codes = np.concatenate([self._codes, codes])
        self._losses = np.concatenate([self._losses, losses])
        self._unknown -= len(codes)

    def _generation(self) -> Codes:
        if self._first or not len(self._codes):
            drawn = self._sampler.draw(self._first or self.children)
            self._first = 0
            return drawn
        self._survive()
        return self._sampler.breed(self.children, self._bred)

    def _survive(self) -> None:
        """Keep the population, best first: whole fronts, and of the one that does not fit those with the most room."""
        ranks = front_ranks(self._losses)
        room = np.zeros(len(ranks))
        for rank in np.unique(ranks):
            front = ranks == rank
            room[front] = crowding(self._losses[front])
        most = max(self.population, int((ranks == 0).sum()))
        kept = np.lexsort((-room, ranks))[:most]
        self._codes, self._losses = self._codes[kept], self._losses[kept]

    def _bred(self, n: int) -> Codes:
        first, second = self._codes[self._winners(n)], self._codes[self._winners(n)]
        two = self.rng.random(n) < self.crossover
        codes = np.where(two[:, None], self.space.crossover(first, second, self.rng), first)
        return self.space.mutate(codes, self.rng, ONE_DECISION)

    def _winners(self, n: int) -> NDArray[np.int64]:
        """Winners of n tournaments of two: survivors are in order, the best first."""
        drawn: NDArray[np.int64] = self.rng.integers(0, len(self._codes), (n, 2)).min(axis=1)
        return drawn
