"""`LatencyBudget`: a bound on a latency, with a margin where asked for, and whether any architecture keeps it."""

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import InfeasibleError, UsageError
from ._descent import Cheapest, descend
from .oracle import LatencyOracle


class LatencyBudget:
    """What an architecture may take on a device. Called with codes, [n, P], it gives what is bounded, [n].

    ::

        budget = LatencyBudget(oracle, 30.0, coverage=0.9)
        budget.require()
        problem = Problem(space, [accuracy], [Constraint(budget.name, budget, budget.most)])

    Args:
        oracle: the latencies.
        most_ms: the budget.
        coverage: None bounds the latency itself. Else the upper end of its interval is bounded: with 0.9, one in twenty
            architectures whose interval just ends at the budget will exceed it on the device.

    Attributes:
        name: what is bounded, with its unit and device.

    Raises:
        UsageError: a budget that is no positive number, or a coverage outside of 0 .. 1.
        NotSupportedError: a margin is asked for, and the oracle does not say how sure it is.
    """

    def __init__(self, oracle: LatencyOracle, most_ms: float, *, coverage: float | None = None) -> None:
        if not (isinstance(most_ms, int | float) and math.isfinite(most_ms) and most_ms > 0):
            raise UsageError(f"a latency budget of {most_ms!r} ms", hint="give a positive number of ms")
        self.oracle = oracle
        self.most = float(most_ms)
        self.coverage = coverage
        self.name = f"latency_ms@{oracle.device}"
        if coverage is not None:
            oracle.intervals_ms(oracle.space.sample(1, np.random.default_rng(0)), coverage)

    def __call__(self, codes: ArrayLike) -> NDArray[np.float64]:
        if self.coverage is None:
            return self.oracle.latencies_ms(codes)
        return self.oracle.intervals_ms(codes, self.coverage)[:, 1]

    @property
    def measure(self) -> Self:
        """What is bounded: the budget itself, so that it is a constraint wherever one is asked for."""
        return self

    def kept(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Which of n architectures keep the budget, [n]."""
        return self(codes) <= self.most

    def require(self, *, evaluations: int = 4096) -> Cheapest:
        """Make sure, before any search, that some architecture keeps the budget.

        Args:
            evaluations: the most architectures to ask about, where the oracle has no exact answer.

        Returns:
            The cheapest architecture that was found.

        Raises:
            InfeasibleError: none does, or none was found; says the least.
        """
        found = self.oracle.cheapest(evaluations=evaluations)
        least = self._least(found, evaluations)
        if least > self.most:
            raise InfeasibleError(self.name, self.most, least, space=self.oracle.space.name)
        return found

    def _least(self, found: Cheapest, evaluations: int) -> float:
        """The least of what is bounded."""
        if self.coverage is None:
            return found.latency_ms
        at_cheapest = float(self(found.code[None])[0])
        # The interval of a network that takes a little longer may end earlier.
        if at_cheapest <= self.most or (found.bound_ms or 0.0) > self.most:
            return at_cheapest
        return min(at_cheapest, descend(self.oracle.space, self, evaluations).latency_ms)
