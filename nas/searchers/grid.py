"""Grid search: every combination of choices, each once, spread over the whole space from the first on."""

from collections.abc import Sequence
from math import gcd, isqrt, prod
from typing import Final

import numpy as np

from ...networks.errors import UsageError
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .sampling import Sampler

_AT_ONCE: Final = 4096
_LOOKED_AT: Final = 1 << 17  # combinations in a row without a new good one, after which the grid ends


@register("grid")
class GridSearcher(Searcher):
    """The Cartesian product of all choices; what breaks a constraint is left out before it is evaluated.

    The combinations are counted through with a stride of about the golden ratio of their number, which has no common
    factor with it: each comes once, none is kept in memory before its turn, and the first n of any space lie spread
    over it, where counting up would change its last decisions only. It also ends where 131,072 combinations in a row
    have nothing new that keeps the constraints.

    Args:
        space: where to search.
        objectives: how many losses an evaluation has.
        violation: what must be 0.
        seed: of no importance here: the order is always the same.
    """

    several = True
    batch = 64

    def __init__(
        self, space: SearchSpace, *, objectives: int = 1, violation: Violation | None = None, seed: int = 0
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        counts = [len(decision.choices) for decision in space.decisions]
        self._left = prod(counts)
        self._counts = np.array(counts, np.int64)
        self._stride = _digits(_stride(self._left), counts)
        self._next = np.zeros(len(counts), np.int64)
        self._found = False
        self._sampler = Sampler(space, violation, self.rng)
        self._ready: Codes = np.empty((0, len(counts)), np.int64)

    def ask(self, n: int) -> Codes:
        idle = 0
        while len(self._ready) < n and self._left:
            codes = self._combinations()
            codes = self.space.canonical(codes[self.space.allowed(codes)])
            codes = codes[self._sampler.good(codes)]
            codes = codes[self._sampler.new(codes)]
            self._sampler.remember(codes)
            self._ready = np.concatenate([self._ready, codes])
            self._found |= bool(len(codes))
            idle = 0 if len(codes) else idle + _AT_ONCE
            if idle >= _LOOKED_AT:
                self._left = 0
        if not self._left and not self._found:
            self._refuse(idle)
        asked, self._ready = self._ready[:n], self._ready[n:]
        return asked

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        del codes, evaluations  # nothing is learnt

    def _combinations(self) -> Codes:
        """The next ones: the last, and the stride so many times, added digit by digit, the last decision the lowest."""
        n = min(_AT_ONCE, self._left)
        times = np.arange(n + 1)
        codes = np.empty((n + 1, len(self._counts)), np.int64)
        carry = np.zeros(n + 1, np.int64)
        for j in range(len(self._counts) - 1, -1, -1):
            carry, codes[:, j] = np.divmod(self._next[j] + times * self._stride[j] + carry, self._counts[j])
        self._left -= n
        self._next = codes[n]
        return codes[:n]

    def _refuse(self, idle: int) -> None:
        self._sampler.require_good()
        raise UsageError(
            f"the first {idle:,} combinations of the space {self.space.name!r} break the constraints",
            hint="take a strategy that looks for those that keep them: random, aging, evolution",
        )


def _digits(number: int, counts: Sequence[int]) -> Codes:
    """A number as choices, the last decision the lowest digit."""
    digits = []
    for count in reversed(counts):
        number, digit = divmod(number, count)
        digits.append(digit)
    return np.array(digits[::-1], np.int64)


def _stride(total: int) -> int:
    """The number nearest above the golden ratio of ``total`` that has no factor in common with it."""
    # (sqrt(5) - 1) / 2 of total, in whole numbers, for those of floating point end at 2^53.
    stride = max(1, (isqrt(5 * total * total) - total) // 2)
    while gcd(stride, total) != 1:
        stride += 1
    return stride
