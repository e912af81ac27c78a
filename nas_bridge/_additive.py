"""Sums over decisions, found by asking: what each choice adds to the latency of one architecture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ._estimates import Ask
from ._positions import Integers, combinations, counts_of
from ._probabilities import checked_probabilities, like
from .oracle import CostMatrix
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

_CHECKS: Final = 512
_EXACT: Final = 1e-6  # relative error up to which a sum is one


@dataclass(frozen=True)
class Additive:
    """A latency as a sum over decisions.

    Attributes:
        space: whose.
        matrix: the numbers.
    """

    space: CodedSpace
    matrix: CostMatrix

    @classmethod
    def found(cls, space: CodedSpace, ask: Ask) -> "Additive | None":
        """The sum that a source is, as far as `_CHECKS` random architectures tell; None where it is none."""
        rng, counts = np.random.default_rng(0), counts_of(space)
        base, codes = space.sample(1, rng)[0], space.sample(_CHECKS, rng)
        tried = np.concatenate([combinations(base, [j], [count]) for j, count in enumerate(counts)])
        at_base, latencies_ms = float(ask(base[None])[0]), ask(tried)
        costs = np.full((len(counts), max(counts)), np.nan)
        for row, found in zip(costs, np.split(latencies_ms, np.cumsum(counts)[:-1]), strict=True):
            row[: len(found)] = found - found.min()
        fixed_ms = at_base - float(costs[np.arange(len(counts)), base].sum())
        sums = fixed_ms + costs[np.arange(len(counts)), codes].sum(axis=1)
        if not np.allclose(sums, ask(codes), rtol=_EXACT, atol=0):
            return None
        return cls(space, CostMatrix(costs, fixed_ms))

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """The expectation, exactly; as `LatencyOracle.expected_ms`."""
        import torch

        checked = checked_probabilities(probabilities, self.space)
        pairs = zip(checked, self.matrix.costs_ms, strict=True)
        sums = [given @ torch.from_numpy(row[: len(given)].copy()).to(given.device) for given, row in pairs]
        return like(self.matrix.fixed_ms + torch.stack(sums).sum(), probabilities)

    def least(self) -> tuple[Integers, float]:
        """The code with the least sum, [P], and that sum."""
        costs = np.nan_to_num(self.matrix.costs_ms, nan=np.inf)
        return costs.argmin(axis=1), self.matrix.fixed_ms + float(costs.min(axis=1).sum())
