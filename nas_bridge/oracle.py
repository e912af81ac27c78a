"""`LatencyOracle`: the latency of every architecture of a space on one device, whatever it is known from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import NotSupportedError
from ._descent import Cheapest, descend
from .space import CodedSpace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CostMatrix:
    """A latency as a sum of one number for each decision.

    Letters: P decisions of the space, C the most choices of one.

    Attributes:
        costs_ms: float64 [P, C]; NaN behind the last choice of a decision, and for a choice without a number.
        fixed_ms: what every architecture takes besides.
    """

    costs_ms: NDArray[np.float64]
    fixed_ms: float


class LatencyOracle(ABC):
    """Latencies, in ms, of the architectures of one space on one device.

    A subclass gives `latencies_ms`; where it knows more, it overrides the rest, which otherwise says that it is not
    possible and why.

    Args:
        space: whose codes are asked.
        device: name of the device.
        simulated: the device's latencies are computed, not timed on hardware.
    """

    def __init__(self, space: CodedSpace, device: str, *, simulated: bool = False) -> None:
        self.space = space
        self.device = device
        self.simulated = simulated

    @abstractmethod
    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Latencies of n architectures.

        Args:
            codes: integers [n, P].

        Returns:
            float64 [n], in ms.

        Raises:
            UsageError: not codes of the space.
            NotCoveredError: the source has no number for one of them.
        """

    def latency_ms(self, code: ArrayLike) -> float:
        """Latency of one architecture, [P], in ms."""
        return float(self.latencies_ms(np.asarray(code)[None])[0])

    def intervals_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """Intervals that hold the measured latencies with probability ``coverage``.

        Args:
            codes: integers [n, P].
            coverage: in (0, 1).

        Returns:
            Lower and upper ends in ms, float64 [n, 2].

        Raises:
            NotSupportedError: the source does not say how sure it is.
        """
        del codes, coverage
        raise NotSupportedError(
            f"{type(self).__name__} of {self.device} does not know how sure it is",
            hint="use a predictor, which has intervals, or bound the latency without a margin",
        )

    def estimates_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """Latencies with their intervals, for less than both would take one after the other.

        Args:
            codes: integers [n, P].
            coverage: in (0, 1).

        Returns:
            Latency, lower and upper end in ms, float64 [n, 3].

        Raises:
            LutraError: as `latencies_ms` and `intervals_ms` raise.
        """
        return np.column_stack([self.latencies_ms(codes), self.intervals_ms(codes, coverage)])

    def refit(self, codes: ArrayLike, latencies_ms: ArrayLike) -> None:
        """Learn from architectures that were measured; from then on the oracle gives other numbers.

        Args:
            codes: n architectures, integers [n, P].
            latencies_ms: their measured latencies, [n].

        Raises:
            NotSupportedError: the source does not learn.
            UsageError: as the source's own `fit`, which then changes nothing.
        """
        del codes, latencies_ms
        raise NotSupportedError(
            f"{type(self).__name__} of {self.device} does not learn from measurements",
            hint="use a predictor, or a table of measured kernels",
        )

    def cheapest(self, *, evaluations: int = 4096) -> Cheapest:
        """The architecture of the space with the least latency, so that budgets below it can be refused.

        Where the source is no sum over decisions, it is looked for: from the best of random architectures, one
        decision after the other is changed for the better, until none is better or enough have been asked about.

        Args:
            evaluations: the most architectures to ask about, where the answer is not exact anyway.

        Raises:
            UsageError: no evaluations.
            NotCoveredError: the source has no number for an architecture.
        """
        return descend(self.space, self.latencies_ms, evaluations)

    def cost_matrix(self) -> CostMatrix:
        """The latency as a sum over decisions.

        Raises:
            NotSupportedError: it is no such sum.
        """
        raise NotSupportedError(
            f"{type(self).__name__} of {self.device} is no sum over decisions",
            hint="ask for latencies_ms, or use a layer-wise table",
        )

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """The expected latency of an architecture drawn choice by choice, with gradient.

        Args:
            probabilities: of the choices of each decision; P tensors, the j-th of as many numbers as decision j has
                choices, from 0 on, with sum 1.

        Returns:
            A scalar, in ms, of the probabilities' type. Oracles that are sums over decisions, or know every
            architecture, give it exactly; the others an unbiased estimate from random architectures, and another one
            at the next call.

        Raises:
            UsageError: not probabilities of the space's choices.
            NotSupportedError: the source has no gradient.
            NotCoveredError: the source has no number for some choice.
        """
        del probabilities
        raise NotSupportedError(
            f"{type(self).__name__} of {self.device} has no gradient",
            hint="use a layer-wise table, or a searcher that does not need gradients",
        )
