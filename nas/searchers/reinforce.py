"""Reinforcement learning: a controller that learns to emit good architectures."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import MissingDependencyError, UsageError
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .sampling import Sampler, keys

Floats = NDArray[np.float64]

_STEP: Final = 10  # evaluations from which on the controller makes a step
_ROUNDS: Final = 4  # of samples of the controller, each twice the last, before others are taken
_UNIFORM_SPREAD: Final = 1 / sqrt(3)  # standard deviation of what is uniform in -1 .. 1


@register("reinforce")
class ReinforceSearcher(Searcher):
    """REINFORCE with a recurrent controller (Zoph and Le, arXiv:1611.01578; NASNet, arXiv:1707.07012).

    An LSTM emits an architecture decision by decision. Every ten evaluations it makes a step that makes what was
    better than the baseline more likely, and the rest less; the baseline is a moving average of rewards. The reward of
    an architecture is its rank among all that were evaluated, from -1 for the worst to 1: so the scale of the loss
    does not matter, and one network that does not learn at all does not drown the differences between the others.

    What breaks the constraints is thrown away before it is evaluated, and the controller learns that it is the worst.
    Where it hardly gives anything else, random architectures that keep them are tried in its place.

    A policy that is getting sure of itself asks for architectures that it asked for before. `lutra.nas.search` does
    not evaluate them again, and they do not count; the controller learns from them all the same.

    Args:
        space: where to search.
        violation: what must be 0.
        seed: of all random choices.
        hidden: units of the LSTM.
        learning_rate: of Adam.
        decay: of the moving average, by evaluation.
        entropy: what a nat of the policy's entropy is worth, relative to the spread of rewards divided by the square
            root of the number of decisions (what one of them decides, where all weigh the same).

    Raises:
        UsageError: several objectives, or parameters that make no sense.
        MissingDependencyError: torch is not installed.
    """

    batch = _STEP

    def __init__(
        self,
        space: SearchSpace,
        *,
        objectives: int = 1,
        violation: Violation | None = None,
        seed: int = 0,
        hidden: int = 100,
        learning_rate: float = 1e-2,
        decay: float = 0.99,
        entropy: float = 0.75,
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        if not isinstance(hidden, int) or hidden < 1 or not learning_rate > 0 or not 0 <= decay < 1 or not entropy >= 0:
            raise UsageError(
                f"hidden is {hidden!r}, learning_rate {learning_rate!r}, decay {decay!r}, entropy {entropy!r}",
                hint="give 1 unit or more, a positive rate, a decay in [0, 1) and an entropy of 0 or more",
            )
        try:
            from ._controller import Controller
        except ImportError:
            raise MissingDependencyError("torch", "learn", "searching with a controller") from None
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.decay = decay
        self.entropy = entropy
        counts = [len(decision.choices) for decision in space.decisions]
        self._controller = Controller(counts, hidden=hidden, learning_rate=learning_rate, seed=seed)
        self._sampler = Sampler(space, violation, self.rng)
        self._losses: dict[bytes, float] = {}
        self._waiting: list[Codes] = []
        self._rejected: list[Codes] = []
        self._baseline: float | None = None

    def ask(self, n: int) -> Codes:
        kept: Codes = np.empty((0, len(self.space.decisions)), np.int64)
        for size in n * 2 ** np.arange(_ROUNDS):
            codes = self.space.repair(self._controller.sample(int(size)))
            good = self._sampler.good(codes)
            kept = np.concatenate([kept, codes[good]])[:n]
            self._rejected.append(codes[~good])
            if len(kept) == n:
                return kept
        return np.concatenate([kept, self._sampler.draw(n - len(kept))])

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        losses = np.where(np.isnan(evaluations.losses[:, 0]), np.inf, evaluations.losses[:, 0])
        self._losses.update(zip(keys(codes), losses.tolist(), strict=True))
        self._waiting.append(codes)
        if sum(map(len, self._waiting)) >= _STEP:
            self._learn(np.concatenate(self._waiting))
            self._waiting, self._rejected = [], []

    def _learn(self, codes: Codes) -> None:
        rewards = self._rewards(codes)
        if self._baseline is None:
            self._baseline = float(rewards.mean())
        # No more of them than of the others: what is good is to be learnt as well as what is not allowed.
        rejected = np.concatenate([codes[:0], *self._rejected])[: len(codes)]
        advantages = np.concatenate([rewards, np.full(len(rejected), -1.0)]) - self._baseline
        everything = np.concatenate([codes, rejected])
        worth = self.entropy / sqrt(len(self.space.decisions))
        self._controller.learn(everything, self.space.used(everything), advantages / _UNIFORM_SPREAD, worth)
        for reward in rewards.tolist():
            self._baseline = self.decay * self._baseline + (1 - self.decay) * reward

    def _rewards(self, codes: Codes) -> Floats:
        """The share, of all that were evaluated, of those worse less that of those better; ``[n]``."""
        known = np.sort(list(self._losses.values()))
        losses = np.array([self._losses[key] for key in keys(codes)])
        better, not_worse = np.searchsorted(known, losses, "left"), np.searchsorted(known, losses, "right")
        return np.asarray((len(known) - not_worse - better) / len(known), np.float64)
