"""Once-for-All's evolutionary search (Cai et al. 2020, arXiv:1908.09791, section 3.4; its released EvolutionFinder)."""

from typing import Final

import numpy as np

from ...networks.errors import UsageError
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .growing import grown
from .sampling import Sampler

_IMAGE: Final = ("resolution", "input")  # what spaces call the decision for the size of the image


@register("evolution")
class EvolutionSearcher(Searcher):
    """Generations: the best are kept, mutants and children fill the rest; only what keeps the constraints lives.

    A mutant takes new choices in each decision with some probability, be it the operator of a block or the depth of a
    stage; a child takes each decision from either of two parents. Other than in the released code, rejection ends
    (what is missing after some rounds is drawn anew), a neighbour stands in for what breaks a constraint by little, and
    nothing is evaluated twice. The released code has parents=0.25, mutants=0.5, rate=0.1 and image_rate=0.5.

    Args:
        space: where to search.
        objectives: one.
        violation: what must be 0.
        seed: of all random choices.
        population: how many architectures are asked for in each generation; the random ones of the first, too.
        parents: share of the population that is kept from one generation to the next, and that others stem from.
        mutants: share of the population that are mutants; the rest are children of two.
        rate: probability with which a decision of a mutant takes another choice.
        image_rate: probability with which the size of a mutant's images is drawn anew, in spaces that decide on it.
        growth: probability with which a mutant grows instead, in one decision, so that it can begin with the function
            of its parent (`growing.grown`); for accuracies with inherited weights. Each is looked for among networks,
            some tens of milliseconds long.

    Raises:
        UsageError: a population that is too small to have parents, or a share or probability outside 0 .. 1.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: int = 1,
        violation: Violation | None = None,
        seed: int = 0,
        population: int = 100,
        parents: float = 0.5,
        mutants: float = 0.8,
        rate: float = 0.03,
        image_rate: float = 0.1,
        growth: float = 0.0,
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        if (
            not all(0 <= share <= 1 for share in (parents, mutants, rate, image_rate, growth))
            or round(parents * population) < 1
        ):
            raise UsageError(
                f"a population of {population} with parents={parents}, mutants={mutants}, rate={rate}, "
                f"image_rate={image_rate}, growth={growth}",
                hint="give shares from 0 to 1, and enough for one parent",
            )
        self.population, self.parents, self.mutants, self.rate = population, parents, mutants, rate
        self.image_rate, self.growth = image_rate, growth
        self.batch = population
        self._images = [j for j, decision in enumerate(space.decisions) if decision.name in _IMAGE]
        self._sampler = Sampler(space, violation, self.rng)
        self._ready = space.sample(0, self.rng)  # of this generation, still to be asked for
        self._unknown = 0  # of this generation, asked for and not told yet
        self._codes, self._losses = self._ready, np.empty(0)  # this generation and its parents

    def ask(self, n: int) -> Codes:
        if not len(self._ready) and not self._unknown:
            self._ready = self._generation()
        asked, self._ready = self._ready[:n], self._ready[n:]
        self._unknown += len(asked)
        return asked

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        losses = np.where(evaluations.ok, evaluations.losses[:, 0], np.inf)
        self._codes = np.concatenate([self._codes, codes])
        self._losses = np.concatenate([self._losses, losses])
        self._unknown -= len(codes)

    def _generation(self) -> Codes:
        """The next one: random at first, and for as long as everything failed."""
        best = np.argsort(self._losses, kind="stable")[: round(self.parents * self.population)]
        best = best[np.isfinite(self._losses[best])]
        self._codes, self._losses = self._codes[best], self._losses[best]
        if not len(best):
            return self._sampler.draw(self.population)
        mutants = round(self.mutants * self.population)
        return np.concatenate(
            [
                self._sampler.breed(mutants, self._mutants),
                self._sampler.breed(self.population - mutants, self._children),
            ]
        )

    def _mutants(self, n: int) -> Codes:
        parents = self._drawn(n)
        grow = self.rng.random(n) < self.growth if self.growth else np.zeros(n, np.bool_)
        mutants = self._mutated(parents[~grow])
        return np.concatenate([mutants, grown(self.space, parents[grow], self.rng)]) if grow.any() else mutants

    def _mutated(self, parents: Codes) -> Codes:
        n = len(parents)
        codes = self.space.mutate(parents, self.rng, self.rate)
        for j in self._images:
            drawn = self.rng.integers(0, len(self.space.decisions[j].choices), n)
            codes[:, j] = np.where(self.rng.random(n) < self.image_rate, drawn, codes[:, j])
        return self.space.repair(codes)

    def _children(self, n: int) -> Codes:
        return self.space.crossover(self._drawn(n), self._drawn(n), self.rng)

    def _drawn(self, n: int) -> Codes:
        return self._codes[self.rng.integers(0, len(self._codes), n)]
