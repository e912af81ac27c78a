"""Searching with a model of what was found: Bayesian optimisation on our own predictors."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ...predictors.processes import UNUSED, Belief, ChoiceProcess, Form, best_form
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from . import _acquisition as acquisition
from ._registry import register
from .base import Searcher, Violation
from .sampling import Sampler

Floats = NDArray[np.float64]

_LEAST_INITIAL: Final = 2
_PARENTS: Final = 10  # for each pick; their neighbours are candidates
_NEIGHBOURS: Final = 512  # candidates near the parents
_RANDOM: Final = 2048  # candidates from everywhere
_LEARNED: Final = 1000  # a model learns from at most so many: the parents, and the latest
_GROWTH: Final = 1.2  # by which evaluations must have grown before another form of covariance is looked for


@register("surrogate")
class SurrogateSearcher(Searcher):
    """Learns what was found so far, and tries what is most likely to improve it.

    After some random architectures, each round fits a Gaussian process over choices to each loss
    (`lutra.predictors.processes`), draws candidates (neighbours of the best and
    random ones), and picks those with the largest expected improvement, one after the other; after each the models are
    narrowed as if it had been seen, so that the picks of a round differ. With several objectives each pick has random
    weights of its own, whose gains add up to the hypervolume (`_acquisition.gains`).

    Losses are learnt by their ranks. So only their order matters, and failures count as the worst.

    Args:
        space: where to search.
        objectives: how many losses an evaluation has.
        violation: what must be 0.
        seed: of all random choices.
        initial: how many random architectures to begin with, at least 2.

    Raises:
        UsageError: too few to begin with.
    """

    several = True
    batch = 10

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: int = 1,
        violation: Violation | None = None,
        seed: int = 0,
        initial: int = 20,
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        if not isinstance(initial, int) or initial < _LEAST_INITIAL:
            raise UsageError(
                f"initial is {initial!r}", hint=f"give how many architectures to begin with, {_LEAST_INITIAL} or more"
            )
        self.initial = initial
        self._sampler = Sampler(space, violation, self.rng)
        self._models = [_Model(space) for _ in range(objectives)]
        self._codes: Codes = np.empty((0, len(space.decisions)), np.int64)
        self._losses = np.empty((0, objectives))

    def ask(self, n: int) -> Codes:
        if len(self._codes) < self.initial:
            return self._sampler.draw(min(n, self.initial - len(self._codes)))
        losses = acquisition.normal_scores(self._losses)
        reference = acquisition.reference_point(losses)
        weights = [acquisition.random_weights(self.objectives, self.rng) for _ in range(n)]
        gains = np.array([acquisition.gains(losses, weight, reference) for weight in weights]).reshape(n, len(losses))
        parents = np.argsort(-gains, axis=1, kind="stable")[:, :_PARENTS]
        candidates = self._candidates(self._codes[parents.ravel()])
        picked = self._picked(candidates, losses, np.unique(parents), weights, reference)
        self._sampler.remember(picked)
        return np.concatenate([picked, self._sampler.draw(n - len(picked))])

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        self._sampler.remember(codes)
        self._codes = np.concatenate([self._codes, codes])
        self._losses = np.concatenate([self._losses, evaluations.losses])

    def _candidates(self, parents: Codes) -> Codes:
        """Architectures that keep the constraints and were never asked for: near the parents, and random ones."""
        if not len(parents):
            return parents
        # Every parent in turn: with one change, with one or two, and crossed with another.
        near = parents[np.arange(_NEIGHBOURS) % len(parents)]
        one, few, crossed = np.array_split(self.rng.permutation(near), 3)
        others = parents[self.rng.integers(0, len(parents), len(crossed))]
        codes = np.concatenate(
            [
                self.space.mutate(one, self.rng, 0.0),
                self.space.mutate(few, self.rng, min(1.0, 2 / len(self.space.decisions))),
                self.space.crossover(crossed, others, self.rng),
                self.space.sample(_RANDOM, self.rng),
            ]
        )
        codes = codes[self._sampler.new(codes)]
        return codes[self._sampler.good(codes)]

    def _picked(
        self,
        candidates: Codes,
        losses: Floats,
        parents: NDArray[np.intp],
        weights: list[Floats],
        reference: Floats,
    ) -> Codes:
        """As many of the candidates as there are weights, or all."""
        if len(candidates) <= len(weights):
            return candidates
        learned = np.union1d(parents, np.arange(max(0, len(losses) - _LEARNED + len(parents)), len(losses)))
        for model, column in zip(self._models, losses.T, strict=True):
            model.fit(self._codes[learned], column[learned])
        beliefs = [model.belief(candidates) for model in self._models]
        means = np.stack([belief.means for belief in beliefs], axis=1)
        open_, picked = np.ones(len(candidates), np.bool_), []
        for weight in weights:
            deviations = np.stack([belief.deviations for belief in beliefs], axis=1)
            best = acquisition.gains(np.concatenate([losses, means[~open_]]), weight, reference).max()
            worth = acquisition.expected_improvement(means, deviations, weight, reference, best)
            picked.append(int(np.where(open_, worth, -np.inf).argmax()))
            open_[picked[-1]] = False
            for belief in beliefs:
                belief.observe(picked[-1])
        return candidates[picked]


class _Model:
    """A Gaussian process of one loss; its form is looked for again whenever there is a fifth more to go by."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._counts = tuple(len(decision.choices) for decision in space.decisions)
        self._form: Form | None = None
        self._formed_by = 0

    def fit(self, codes: Codes, values: Floats) -> None:
        """Learn anew from n canonical codes, n x d, and their standardised values, [n]."""
        marked = self._marked(codes)
        if len(codes) >= _GROWTH * self._formed_by:
            self._form = best_form(marked, values, self._counts, self._form)
            self._formed_by = len(codes)
        self._process = ChoiceProcess.fitted(marked, values, self._counts, self._form)

    def belief(self, codes: Codes) -> Belief:
        """What is likely of c canonical codes, c x d."""
        return self._process.belief(self._marked(codes))

    def _marked(self, codes: Codes) -> Codes:
        """Codes in which what is not used is no choice."""
        return np.where(self._space.used(codes), codes, UNUSED)
