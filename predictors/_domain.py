"""`Domain`: what a predictor has seen, so that it can tell what it has not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.errors import UsageError
from ._batch import Batch

CATEGORIES: Final = 16  # a column of whole numbers with at most so many different ones is a choice
_SLACK: Final = 0.05  # beyond a range by so much of it, or by this factor, is not told apart from inside
_BEYOND: Final = 2.0
_UNSEEN: Final = 4.0
_TOLD: Final = 3
_SIZES: Final = ("MACs", "bytes moved", "parameters", "ops")


@dataclass(frozen=True)
class Departures:
    """How far n inputs lie beyond what was seen.

    Attributes:
        factor: what the half-width of an interval is multiplied with, shape ``[n]``: 1 inside; 2 beyond the sizes or
            numbers that were seen; 4 with ops or choices that were never seen.
        excess: what is added to it, in logarithms, shape ``[n]``: how many times larger or smaller it is than
            anything seen.
    """

    factor: NDArray[np.float64]
    excess: NDArray[np.float64]

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Which of them are extrapolated, shape ``[n]``."""
        return np.asarray(self.factor > 1)


@dataclass(frozen=True)
class Domain:
    """The inputs that a predictor was fitted to, in short.

    Attributes:
        kinds: op kinds of the networks, sorted; empty for encodings.
        values: for each column of encodings its choices, sorted; None for a column of other numbers.
        low: least of each size of the networks (logarithms of `_SIZES`), or of each column; shape ``[f]``.
        high: the greatest, shape ``[f]``.
    """

    kinds: tuple[str, ...]
    values: tuple[tuple[int, ...] | None, ...] | None
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The domain of n >= 1 inputs."""
        if batch.networks is not None:
            kinds = sorted({node.op.kind for network in batch.networks for node in network})
            sizes = _sizes(batch.networks)
            return cls(tuple(kinds), None, sizes.min(axis=0), sizes.max(axis=0))
        rows = batch.encodings
        assert rows is not None
        return cls((), tuple(_choices(column) for column in rows.T), rows.min(axis=0), rows.max(axis=0))

    @property
    def form(self) -> str:
        """What it was fitted to, as errors call it."""
        return "networks" if self.values is None else f"encodings of {len(self.values)} numbers"

    def require(self, batch: Batch) -> None:
        """Refuse inputs of another form.

        Raises:
            UsageError: networks for encodings or the reverse, or encodings of another length.
        """
        if batch.form != self.form:
            raise UsageError(f"{batch.form} for a predictor that was fitted to {self.form}", hint=f"give {self.form}")

    def departures(self, batch: Batch) -> Departures:
        """How far each input lies beyond this."""
        if batch.networks is not None:
            sizes, slack = _sizes(batch.networks), np.full(len(self.low), _SLACK)
            unseen = np.array([bool(self._new_kinds(network)) for network in batch.networks], np.bool_)
        else:
            assert batch.encodings is not None
            sizes, slack = batch.encodings, _SLACK * (self.high - self.low)
            unseen = np.asarray(self._new_choices(sizes).any(axis=1))
        over, under = sizes - self.high, self.low - sizes
        beyond = (np.maximum(over, under) > slack).any(axis=1)
        if batch.networks is not None:
            excess = np.maximum(np.maximum(over, under).max(axis=1), 0.0)
        else:
            excess = self._relative_excess(sizes)
        factor = np.where(unseen, _UNSEEN, np.where(beyond, _BEYOND, 1.0))
        return Departures(factor, np.where(factor > 1, excess, 0.0))

    def reasons(self, batch: Batch, index: int) -> list[str]:
        """In what one input lies beyond this, a phrase each; empty for one inside."""
        one = batch.take(np.array([index], np.intp))
        if not self.departures(one).outside[0]:
            return []
        if one.networks is not None:
            kinds = self._new_kinds(one.networks[0])
            told = [f"ops that it never saw: {', '.join(kinds)}"] if kinds else []
            over, under = _sizes(one.networks)[0] - self.high, self.low - _sizes(one.networks)[0]
            told += [
                f"{math.exp(by):.3g} times the {n} of any" for n, by in zip(_SIZES, over, strict=True) if by > _SLACK
            ]
            told += [
                f"1/{math.exp(by):.3g} of the {n} of any" for n, by in zip(_SIZES, under, strict=True) if by > _SLACK
            ]
            return told
        assert one.encodings is not None
        row = one.encodings[0]
        new = self._new_choices(one.encodings)[0]
        told = [f"column {column} is {row[column]:g}, which it never saw" for column in np.flatnonzero(new)]
        outside = np.flatnonzero(~new & ((row < self.low) | (row > self.high)))
        told += [f"column {c} is {row[c]:g}, beyond {self.low[c]:g} .. {self.high[c]:g}" for c in outside]
        return told[:_TOLD] + [f"and {len(told) - _TOLD} more"] * (len(told) > _TOLD)

    def _new_kinds(self, network: Network) -> list[str]:
        return sorted({node.op.kind for node in network} - set(self.kinds))

    def _new_choices(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which numbers are choices that were never seen, shape ``[n, d]``."""
        new = np.zeros(rows.shape, np.bool_)
        for column, known in enumerate(self.values or ()):
            if known is not None:
                new[:, column] = ~np.isin(rows[:, column], known)
        return new

    def _relative_excess(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many times beyond the range of a column, in logarithms; 0 for columns that are not all positive."""
        positive = self.low > 0
        low, high = np.where(positive, self.low, 1.0), np.where(positive, self.high, 1.0)
        safe = np.where(positive & (rows > 0), rows, np.clip(1.0, low, high))
        by = np.maximum(np.log(safe / high), np.log(low / safe))
        return np.asarray(np.maximum(by, 0.0).max(axis=1, initial=0.0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; `from_json` reads it."""
        values = None if self.values is None else [None if v is None else list(v) for v in self.values]
        return {"kinds": list(self.kinds), "values": values, "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        values = document["values"]
        return cls(
            kinds=tuple(map(str, document["kinds"])),
            values=None if values is None else tuple(None if v is None else tuple(map(int, v)) for v in values),
            low=np.array(document["low"], np.float64),
            high=np.array(document["high"], np.float64),
        )


def _sizes(networks: Sequence[Network]) -> NDArray[np.float64]:
    """Logarithms of `_SIZES`, shape ``[n, 4]``; 0 counts as 1."""
    sizes = [(n.macs, n.bytes_moved, n.params, len(n)) for n in networks]
    return np.log(np.maximum(np.array(sizes, np.float64).reshape(-1, len(_SIZES)), 1.0))


def _choices(column: NDArray[np.float64]) -> tuple[int, ...] | None:
    distinct = np.unique(column)
    if len(distinct) > CATEGORIES or (distinct != np.round(distinct)).any():
        return None
    return tuple(int(value) for value in distinct)
