"""Random architectures that keep the constraints, each once; what strategies begin with."""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import InfeasibleError
from ..spaces import Codes, SearchSpace

if TYPE_CHECKING:
    from .base import Violation

ONE_DECISION: Final = 0.0
"""Rate of a mutation that changes a single decision."""

_LISTED: Final = 1 << 16  # codes up to which a space is listed rather than sampled
_DRAWN: Final = (1 << 6, 1 << 12)  # samples looked at before one is walked; few first, for some measures are dear
_ROUNDS: Final = 8  # of samples without a good one, or without a new one, after which it is tried another way
_AT_ONCE: Final = 64  # of a list that are looked at
_BREEDS: Final = 32  # rounds of children before what is missing is drawn
_MENDS: Final = 8  # neighbours of a child that breaks the constraints, of which one may keep them
_TRIED: Final = 32  # neighbours tried at each step of a descent
_WALKERS: Final = 16  # at most, that descend at once


def keys(codes: Codes) -> list[bytes]:
    """One text of bytes for each code, equal where the codes are."""
    rows = np.ascontiguousarray(codes, np.int64)
    size, whole = 8 * rows.shape[1], rows.tobytes()
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def descend(space: SearchSpace, violation: "Violation", starts: Codes, rng: np.random.Generator) -> Codes:
    """Walk from each start towards the constraints, one decision at a time, and stop where they hold.

    Each step tries some neighbours of every walker and takes the best. A walker gives up after so many tries without
    a gain that it has seen nearly all its neighbours.

    Args:
        starts: n x d.

    Returns:
        Where the walkers came to rest, n x d.
    """
    codes = starts.copy()
    excess = violation(codes)
    choices = sum(len(decision.choices) - 1 for decision in space.decisions)
    patience = 4 + 4 * choices // _TRIED
    waited = np.zeros(len(codes), np.int64)
    while (walking := np.flatnonzero((excess > 0) & (waited < patience))).size:
        tried = space.mutate(np.repeat(codes[walking], _TRIED, axis=0), rng, ONE_DECISION)
        found = violation(tried).reshape(len(walking), _TRIED)
        best = found.argmin(axis=1)
        gain = found[np.arange(len(walking)), best] < excess[walking]
        waited[walking] = np.where(gain, 0, waited[walking] + 1)
        better = walking[gain]
        codes[better] = tried.reshape(len(walking), _TRIED, -1)[gain, best[gain]]
        excess[better] = found[gain, best[gain]]
    return codes


def nearest(space: SearchSpace, violation: "Violation", rng: np.random.Generator) -> tuple[Codes, float]:
    """The architecture that was found to break the constraints least, 1 x d, and by how much; 0 where it keeps them."""
    for size in _DRAWN:
        codes = space.sample(size, rng)
        excess = violation(codes)
        if (excess <= 0).any():
            return codes[[int(excess.argmin())]], 0.0
    codes = descend(space, violation, codes[np.argsort(excess, kind="stable")[:_WALKERS]], rng)
    excess = violation(codes)
    return codes[[int(excess.argmin())]], float(excess.min())


class Sampler:
    """Random architectures that keep the constraints, none of them twice.

    A space of few codes is listed, so that its last architecture is found too. In others samples that break the
    constraints are thrown away; where hardly any keep them, samples are walked towards the constraints.

    Args:
        space: what to sample.
        violation: what must be 0; None where everything is allowed.
        rng: of all random choices.
    """

    def __init__(self, space: SearchSpace, violation: "Violation | None", rng: np.random.Generator) -> None:
        self._space, self._violation, self._rng = space, violation, rng
        self._seen: set[bytes] = set()
        self._listed: Codes | None = None
        self._any = False
        self._rare = False

    def remember(self, codes: Codes) -> None:
        """Never give these again."""
        self._seen.update(keys(codes))

    def new(self, codes: Codes) -> NDArray[np.bool_]:
        """Which of n canonical codes were neither given nor remembered, nor stand among them before; [n]."""
        met: set[bytes] = set()
        fresh = np.zeros(len(codes), np.bool_)
        for i, key in enumerate(keys(codes)):
            fresh[i] = key not in self._seen and key not in met
            met.add(key)
        return fresh

    def good(self, codes: Codes) -> NDArray[np.bool_]:
        """Which of n codes keep the constraints, [n]."""
        if self._violation is None:
            return np.ones(len(codes), np.bool_)
        kept: NDArray[np.bool_] = self._violation(codes) <= 0
        return kept

    def draw(self, n: int) -> Codes:
        """Up to ``n`` architectures that keep the constraints and were never given, n x d; they are remembered.

        Fewer where no more are found, none where the space has no more.

        Raises:
            InfeasibleError: none was found that keeps the constraints.
        """
        small = prod(len(decision.choices) for decision in self._space.decisions) <= _LISTED
        found = self._from_list(n) if small else self._from_samples(n)
        self.remember(found)
        return found

    def breed(self, n: int, make: Callable[[int], Codes]) -> Codes:
        """Up to ``n`` children that keep the constraints and were never given, n x d; they are remembered.

        In place of a child that does not, one of its neighbours is taken that does, if one of a few is such: so
        children come to lie close to the constraints, where the best often are. What is missing in the end is drawn.

        Args:
            n: how many.
            make: makes so many canonical children.

        Raises:
            InfeasibleError: as for `draw`.
        """
        parts: list[Codes] = []
        wanted = n
        for _ in range(_BREEDS):
            if wanted <= 0:
                break
            children = self._mended(make(wanted))
            children = children[self.new(children)][:wanted]
            self.remember(children)
            parts.append(children)
            wanted -= len(children)
        return np.concatenate([*parts, self.draw(wanted)])

    def _mended(self, codes: Codes) -> Codes:
        """Those of n codes that keep the constraints, and neighbours of the others that do, where some are found."""
        good = self.good(codes)
        if good.all():
            return codes
        bad = codes[~good]
        tried = self._space.mutate(np.repeat(bad, _MENDS, axis=0), self._rng, ONE_DECISION)
        kept = self.good(tried).reshape(len(bad), _MENDS)
        first = kept.argmax(axis=1)
        mended = tried.reshape(len(bad), _MENDS, -1)[np.arange(len(bad)), first]
        return np.concatenate([codes[good], mended[kept.any(axis=1)]])

    def _from_list(self, n: int) -> Codes:
        if self._listed is None:
            counts = [len(decision.choices) for decision in self._space.decisions]
            every = np.indices(counts).reshape(len(counts), -1).T.astype(np.int64)
            codes = np.unique(self._space.canonical(every[self._space.allowed(every)]), axis=0)
            self._listed = self._rng.permutation(codes)
        taken = self._listed[:0]
        while len(taken) < n and len(self._listed):
            some, self._listed = np.split(self._listed, [max(n, _AT_ONCE)])
            some = some[self.good(some)]
            self._any |= bool(len(some))
            taken = np.concatenate([taken, some[self.new(some)]])
        # What was looked at and not taken comes first the next time.
        taken, self._listed = taken[:n], np.concatenate([taken[n:], self._listed])
        return taken if self._any or not n else self.require_good()

    def _from_samples(self, n: int) -> Codes:
        parts: list[Codes] = [np.empty((0, len(self._space.decisions)), np.int64)]
        wanted, idle = n, 0
        while wanted > 0 and idle < _ROUNDS:
            codes = self._candidates(wanted)
            codes = codes[self.new(codes)][:wanted]
            self.remember(codes)
            parts.append(codes)
            wanted -= len(codes)
            idle = 0 if len(codes) else idle + 1
        return np.concatenate(parts)

    def _candidates(self, wanted: int) -> Codes:
        """Some that keep the constraints, by throwing away; by walking once a whole round had none of them."""
        size = wanted if self._violation is None else max(2 * wanted, 64)
        if not self._rare:
            for _ in range(_ROUNDS):
                codes = self._space.sample(size, self._rng)
                kept = codes[self.good(codes)]
                if len(kept):
                    return kept
                size = max(2 * size, 64)
            self._rare = True
        walked = descend(self._space, self._required, self._space.sample(min(wanted, _WALKERS), self._rng), self._rng)
        kept = walked[self.good(walked)]
        return kept if len(kept) else self.require_good()

    @property
    def _required(self) -> "Violation":
        assert self._violation is not None  # without one nothing is ever rare
        return self._violation

    def require_good(self) -> Codes:
        """One architecture that keeps the constraints, from the best of many starts, 1 x d.

        Raises:
            InfeasibleError: none was found.
        """
        codes, excess = nearest(self._space, self._required, self._rng)
        if excess > 0:
            what = "its constraints, as a share of their bounds,"
            raise InfeasibleError(what, 1.0, 1.0 + excess, space=self._space.name)
        return codes
