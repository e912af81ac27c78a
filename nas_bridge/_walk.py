"""Sums over the positions of a chain, for all architectures at once: expected, least, and of each.

A walk goes through the positions in order and keeps what later positions still need: the state that the earlier ones
have left (layout, size of image), and the choices of decisions that more than one position depends on (the depth of a
stage). From the end to the beginning, it sums what is still to come over each state and choice of these: with the mean
over a position's own decisions it is the expectation, with the least of them the cheapest architecture. (Bellman,
"Dynamic Programming", 1957, chapter III; for probabilities, variable elimination along a chain.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ..luts.chain import StateCosts
from ..networks.errors import NotCoveredError, NotSupportedError
from ._positions import Integers, Position

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

_MOST: Final = 1 << 22  # combinations of state and choices that a step may tell apart


@dataclass(frozen=True)
class _Step:
    """What one position adds. Axes of its arrays: states, kept decisions, new decisions; each kind ascending.

    Attributes:
        kept: decisions that were met before.
        new: decisions that are met here first.
        costs: added.
        behind: where the sum of the rest stands for what comes behind, an index into that flattened array.
        state: left behind.
    """

    kept: tuple[int, ...]
    new: tuple[int, ...]
    costs: Floats
    behind: Integers
    state: Integers


class Walk:
    """Costs that architectures of a space meet position by position.

    Args:
        positions: what stands where, K of them.
        counts: how many choices each decision has.
        costs: of what stands there.

    Attributes:
        covered: whether every architecture has a number.

    Raises:
        NotSupportedError: too much has to be kept in mind between positions.
    """

    def __init__(self, positions: Sequence[Position], counts: Sequence[int], costs: StateCosts) -> None:
        self._positions, self._costs = tuple(positions), costs
        self._fixed = costs.fixed
        self._decisions = len(counts)
        met = _met(positions, costs)
        self._ends = np.where(met[-1], costs.ends, 0.0)
        kept = _kept(positions)
        self._steps = [
            _step(position, counts, (costs.costs[k], costs.behind[k]), met[k], (kept[k], kept[k + 1]))
            for k, position in enumerate(positions)
        ]
        self.covered = not any(np.isnan(step.costs).any() for step in self._steps) and not np.isnan(self._ends).any()

    def of(self, codes: Integers) -> Floats:
        """The sum of each of n codes, [n]; NaN where one has no number."""
        total, state = np.full(len(codes), self._fixed), np.zeros(len(codes), np.int64)
        for position, costs, behind in zip(self._positions, self._costs.costs, self._costs.behind, strict=True):
            standing = position.choices[tuple(codes[:, list(position.decisions)].T)]
            total += costs[state, standing]
            state = behind[state, standing]
        return total + self._ends[state]

    def expected(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """The expectation under independent decisions, a scalar of 64 bits with gradient.

        Args:
            probabilities: of the choices of each decision; float64, on one device.

        Raises:
            NotCoveredError: a choice has no number.
        """
        import torch

        if not self.covered:
            raise NotCoveredError("a choice of the space has no number, so there is no expectation", ())
        place = probabilities[0].device
        rest = torch.from_numpy(self._ends).to(place)
        for step in reversed(self._steps):
            behind = torch.from_numpy(step.behind).to(place)
            rest = torch.from_numpy(step.costs).to(place) + rest.reshape(-1)[behind]
            for decision in reversed(step.new):
                # Less the mean, gradients are as large as what the choice changes, not as the whole latency, and keep
                # their precision where they go on in 32 bits. For probabilities, whose sum is 1, that changes nothing.
                mean = (rest @ probabilities[decision]).detach()
                rest = (rest - mean[..., None]) @ probabilities[decision] + mean
        return self._fixed + rest.reshape(-1)[0]

    def least(self) -> tuple[Integers, float]:
        """The code of the architecture with the least sum, [P], and that sum.

        Choices without a number are not taken.

        Raises:
            NotCoveredError: every architecture has one of those.
        """
        rest, open_ = np.nan_to_num(self._ends, nan=np.inf), []
        for step in reversed(self._steps):
            values = np.nan_to_num(step.costs, nan=np.inf) + rest.reshape(-1)[step.behind]
            open_.append(values)
            rest = values.min(axis=tuple(range(1 + len(step.kept), values.ndim)))
        total = self._fixed + float(rest.reshape(-1)[0])
        if not np.isfinite(total):
            raise NotCoveredError("every architecture of the space has a choice without a number", ())
        code, state = np.zeros(self._decisions, np.int64), 0
        for step, values in zip(self._steps, reversed(open_), strict=True):
            at = (state, *code[list(step.kept)].tolist())
            chosen = np.unravel_index(int(values[at].argmin()), values[at].shape)
            code[list(step.new)] = chosen
            state = int(step.state[(*at, *chosen)])
        return code, total


def _kept(positions: Sequence[Position]) -> list[tuple[int, ...]]:
    """Before each position, and behind the last: the decisions met before that a later position depends on."""
    decisions = [set(position.decisions) for position in positions]
    borders = range(len(positions) + 1)
    return [tuple(sorted(set().union(*decisions[:k]) & set().union(*decisions[k:]))) for k in borders]


def _met(positions: Sequence[Position], costs: StateCosts) -> list[NDArray[np.bool_]]:
    """Which states are met before each position, and behind the last; state 0 is the beginning."""
    met = [np.arange(len(costs.ends)) == 0]
    for position, behind in zip(positions, costs.behind, strict=True):
        reached = behind[met[-1]][:, np.unique(position.choices)]
        met.append(np.isin(np.arange(len(costs.ends)), reached))
    return met


def _step(
    position: Position,
    counts: Sequence[int],
    tables: tuple[Floats, Integers],
    met: NDArray[np.bool_],
    kept: tuple[tuple[int, ...], tuple[int, ...]],
) -> _Step:
    costs, behind = tables
    before, after = kept
    new = tuple(decision for decision in position.decisions if decision not in before)
    axes = (*before, *new)
    shape = (len(met), *(counts[decision] for decision in axes))
    if np.prod(shape, dtype=np.float64) > _MOST:
        raise NotSupportedError(
            f"what {len(axes)} decisions say about later positions is too much to keep in mind",
            hint="ask for latencies_ms, or give the space fewer decisions that many positions depend on",
        )
    grid = np.indices(shape)
    chosen = dict(zip(axes, grid[1:], strict=True))
    standing = position.choices[tuple(chosen[decision] for decision in position.decisions)]
    state = behind[grid[0], standing]
    later = (len(met), *(counts[decision] for decision in after))
    place = np.ravel_multi_index((state, *(chosen[decision] for decision in after)), later)
    added = np.where(met[grid[0]], costs[grid[0], standing], 0.0)
    return _Step(before, new, added, np.asarray(place, np.int64), state)
