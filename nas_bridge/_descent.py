"""`Cheapest`, and how it is looked for where a source cannot be asked for it: by descent, within bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from ._positions import Integers, counts_of
from .space import CodedSpace

_START: Final = 4  # one in so many evaluations goes into random architectures to start from


@dataclass(frozen=True)
class Cheapest:
    """The architecture that is known to need least.

    Attributes:
        code: which, integers [P].
        latency_ms: what it takes.
        bound_ms: no architecture takes less than this; None where the source was only asked about some of them.
    """

    code: NDArray[np.int64]
    latency_ms: float
    bound_ms: float | None

    @property
    def exact(self) -> bool:
        """Whether nothing takes less, up to rounding."""
        return self.bound_ms is not None and self.latency_ms <= self.bound_ms * (1 + 1e-6)


def descend(space: CodedSpace, latencies_ms: Callable[[Integers], NDArray[np.float64]], evaluations: int) -> Cheapest:
    """The least that was found by changing one decision at a time, from the best of random architectures.

    Args:
        space: where to look.
        latencies_ms: of n codes.
        evaluations: the most codes to ask about.

    Raises:
        UsageError: no evaluations.
    """
    if evaluations < 1:
        raise UsageError(f"{evaluations} evaluations", hint="give 1 or more")
    counts = np.array(counts_of(space))
    codes = space.sample(max(1, evaluations // _START), np.random.default_rng(0))
    found = latencies_ms(codes)
    best, least_ms, left = codes[int(found.argmin())], float(found.min()), evaluations - len(codes)
    while left > 0:
        near = _neighbours(space, best, counts)[:left]
        found = latencies_ms(near) if len(near) else np.full(1, np.inf)
        if float(found.min()) >= least_ms:
            break
        best, least_ms, left = near[int(found.argmin())], float(found.min()), left - len(near)
    return Cheapest(best, least_ms, None)


def _neighbours(space: CodedSpace, code: Integers, counts: Integers) -> Integers:
    """The other architectures that differ in one choice, each once."""
    decisions = np.repeat(np.arange(len(counts)), counts)
    near = np.repeat(code[None], len(decisions), axis=0)
    near[np.arange(len(decisions)), decisions] = np.concatenate([np.arange(count) for count in counts])
    near = np.unique(space.repair(near), axis=0)
    others: Integers = near[(near != code).any(axis=1)]
    return others
