"""Latencies of many codes as sums of terms, each a number by the choices of one decision or a few.

What a code stands for is never worked out: the numbers are looked up by the choices as they are. That is possible where
a position costs the same whatever came before it (other than which chain it is), and several times as quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..luts.chain import StateCosts
from ..luts.choices import ChoiceCosts
from ._positions import Integers, Position

_CHUNK: Final = 8192  # architectures whose columns stay in the caches
_BYTE: Final = 256
_MOST: Final = 1 << 16  # combinations that one term may tell apart


@dataclass(frozen=True)
class _Term:
    """A number by the choices of some decisions.

    Attributes:
        decisions: which, ascending.
        costs: one axis a decision.
    """

    decisions: tuple[int, ...]
    costs: NDArray[np.float64]


class Terms:
    """Sums of terms.

    Args:
        terms: what is summed.
        counts: how many choices each decision has.
        fixed_ms: what every architecture takes besides.
    """

    def __init__(self, terms: Sequence[_Term], counts: Sequence[int], fixed_ms: float) -> None:
        self._terms = tuple(terms)
        self._counts = np.array(counts)
        self._most_choices = int(self._counts.max())
        self._one_each = [term.decisions for term in terms] == [(d,) for d in range(len(counts))]
        self._fixed_ms = fixed_ms
        costs = np.full((len(terms), max(term.costs.size for term in terms)), np.nan)
        for row, term in zip(costs, terms, strict=True):
            row[: term.costs.size] = term.costs.reshape(-1)
        self._sums = ChoiceCosts(costs, start_ms=fixed_ms)
        self._dtype = np.uint8 if max(costs.shape[1], *counts) <= _BYTE else np.uint16

    @classmethod
    def of(
        cls, positions: Sequence[Position], counts: Sequence[int], costs: StateCosts, *, several: bool
    ) -> "Terms | None":
        """The terms of a space's positions; None where a position depends on what was chosen before it.

        Args:
            positions: what stands where.
            counts: how many choices each decision has.
            costs: of what stands there, in ms.
            several: whether the first position says which chain it is.
        """
        first = positions[0] if several else Position((), np.zeros((), np.int64))
        state = costs.behind[0, 0][first.choices] if several else first.choices
        terms = [_Term(first.decisions, costs.costs[0, 0][first.choices] + costs.ends[state])] if several else []
        fixed = costs.fixed + (0.0 if several else float(costs.ends[0]))
        for k, position in enumerate(positions[several:], start=several):
            valid = np.unique(position.choices)
            if (costs.behind[k][np.unique(state)][:, valid] != np.unique(state)[:, None]).any():
                return None
            alike = (costs.costs[k][np.unique(state)] == costs.costs[k][state.flat[0]]).all()
            term = _joined(position, costs.costs[k], None if alike else first, state)
            if term.costs.size > _MOST:
                return None
            terms.append(term)
        return cls(terms, counts, fixed)

    def matrix(self) -> tuple[NDArray[np.float64], float] | None:
        """The terms by decision and choice, [P, C], and what every architecture takes besides; None where a term
        depends on several decisions."""
        if any(len(term.decisions) > 1 for term in self._terms):
            return None
        valid = np.arange(self._counts.max()) < self._counts[:, None]
        costs, fixed_ms = np.where(valid, 0.0, np.nan), self._fixed_ms
        for term in self._terms:
            if term.decisions:
                costs[term.decisions[0], : term.costs.size] += term.costs
            else:
                fixed_ms += float(term.costs)
        return costs, fixed_ms

    def latencies_ms(self, codes: NDArray[Any]) -> NDArray[np.float32] | None:
        """Latencies of codes, [n]; NaN where one has no number. None for what is not integers [n, P] in range."""
        if codes.dtype.kind not in "iu" or codes.ndim != 2 or codes.shape[1] != len(self._counts):
            return None
        # As numbers without a sign those below 0 are large.
        unsigned = codes.view(f"u{codes.dtype.itemsize}") if codes.dtype.isnative else codes.astype(np.uint64)
        found = np.empty(len(codes), np.float32)
        for start in range(0, len(codes), _CHUNK):
            chunk = unsigned[start : start + _CHUNK]
            if chunk.max() >= self._most_choices:
                return None  # before they are cut to bytes
            choices = np.ascontiguousarray(chunk.astype(self._dtype).T)
            if (choices.max(axis=1) >= self._counts).any():
                return None
            found[start : start + _CHUNK] = self._sums.latencies_ms(self._columns(choices).T)
        return found

    def _columns(self, choices: NDArray[Any]) -> NDArray[Any]:
        """Where in its table each term is read, [terms, n], from choices [P, n]."""
        if self._one_each:
            return choices
        columns = np.empty((len(self._terms), choices.shape[1]), self._dtype)
        before: dict[tuple[int, ...], NDArray[Any]] = {}  # many terms share all but their last decision
        for column, term in zip(columns, self._terms, strict=True):
            if len(term.decisions) < 2:
                column[:] = choices[term.decisions[0]] if term.decisions else 0
                continue
            *others, last = term.decisions
            key = (*others, term.costs.shape[-1])
            if key not in before:
                place = choices[others[0]]
                for decision, count in zip(others[1:], term.costs.shape[1:], strict=False):
                    place = place * self._dtype(count) + choices[decision]
                before[key] = place * self._dtype(key[-1])
            np.add(before[key], choices[last], out=column)
        return columns


def _joined(position: Position, costs: NDArray[np.float64], first: Position | None, state: Integers) -> _Term:
    """The term of a position, which depends on the decisions of the chain too if these make a difference."""
    if first is None:
        return _Term(position.decisions, costs[state.flat[0]][position.choices])
    decisions = tuple(sorted({*first.decisions, *position.decisions}))
    sizes = {d: n for p in (first, position) for d, n in zip(p.decisions, p.choices.shape, strict=True)}
    grid = dict(zip(decisions, np.indices([sizes[d] for d in decisions]), strict=True))
    met = state[tuple(grid[d] for d in first.decisions)]
    return _Term(decisions, costs[met, position.choices[tuple(grid[d] for d in position.decisions)]])
