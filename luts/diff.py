"""Comparing two tables row by row: what only one of them has, and what differs by more than both are unsure of."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from .numbers import RowNumbers


@dataclass(frozen=True)
class Change:
    """A subject with a number in both tables.

    Attributes:
        subject_kind: its kind.
        subject_key: its key.
        label: what a person reads.
        left_ns: latency in the first table.
        right_ns: latency in the second.
        beyond: whether the two intervals do not touch; None where one of the tables does not know its interval.
    """

    subject_kind: str
    subject_key: str
    label: str
    left_ns: float
    right_ns: float
    beyond: bool | None

    @property
    def ratio(self) -> float:
        """The second latency over the first; infinite where only the first is 0, 1 where both are."""
        if self.left_ns:
            return self.right_ns / self.left_ns
        return float("inf") if self.right_ns else 1.0

    @classmethod
    def between(cls, left: RowNumbers, right: RowNumbers) -> Self:
        """Compare two rows of one subject; both have a number."""
        assert left.latency_ns is not None
        assert right.latency_ns is not None
        beyond = None
        if left.rel_halfwidth is not None and right.rel_halfwidth is not None:
            reach_ns = left.rel_halfwidth * left.latency_ns + right.rel_halfwidth * right.latency_ns
            beyond = abs(left.latency_ns - right.latency_ns) > reach_ns
        return cls(left.subject_kind, left.subject_key, left.label, left.latency_ns, right.latency_ns, beyond)


@dataclass(frozen=True)
class TableDiff:
    """Two tables beside each other.

    Attributes:
        only_left: labels of rows that only the first has.
        only_right: labels of rows that only the second has.
        failed: labels of rows that have a number in one of the tables alone, because they failed in the other.
        changes: one for each subject with a number in both, in the order of the second table.
    """

    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    failed: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def beyond(self) -> list[Change]:
        """Changes beyond both intervals, the largest ratio (either way) first."""
        return sorted((change for change in self.changes if change.beyond), key=_size, reverse=True)

    @property
    def outside_share(self) -> float | None:
        """Share of the changes with known intervals that are beyond them; None where no interval is known."""
        judged = [change.beyond for change in self.changes if change.beyond is not None]
        return sum(judged) / len(judged) if judged else None

    @property
    def same(self) -> bool:
        """Whether both tables have the same subjects with the same numbers."""
        missing = self.only_left or self.only_right or self.failed
        return not missing and all(change.left_ns == change.right_ns for change in self.changes)

    def ratio(self, quantile: float) -> float | None:
        """Quantile of second over first latency; None where no subject has a number in both."""
        if not self.changes:
            return None
        # Not interpolated: a ratio may be infinite.
        return float(np.quantile([change.ratio for change in self.changes], quantile, method="nearest"))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON data; of the rows, those beyond their intervals."""
        return {
            "compared": len(self.changes),
            "only_left": list(self.only_left),
            "only_right": list(self.only_right),
            "failed": list(self.failed),
            "outside_share": self.outside_share,
            "ratio": {f"p{100 * q:.0f}": _finite(self.ratio(q)) for q in (0.1, 0.5, 0.9)},
            "beyond": [asdict(change) | {"ratio": _finite(change.ratio)} for change in self.beyond],
        }


def compare(left: Iterable[RowNumbers], right: Iterable[RowNumbers]) -> TableDiff:
    """Compare two tables, subject by subject. Holds the numbers of both in memory, but no samples."""
    first = {(row.subject_kind, row.subject_key): row for row in left}
    only_right, failed, changes = [], [], []
    for row in right:
        other = first.pop((row.subject_kind, row.subject_key), None)
        if other is None:
            only_right.append(row.label)
        elif other.latency_ns is not None and row.latency_ns is not None:
            changes.append(Change.between(other, row))
        elif (other.latency_ns is None) != (row.latency_ns is None):
            failed.append(row.label)
    return TableDiff(tuple(row.label for row in first.values()), tuple(only_right), tuple(failed), tuple(changes))


def _size(change: Change) -> float:
    if 0 in (change.left_ns, change.right_ns):
        return float("inf")
    return float(abs(np.log(change.ratio)))


def _finite(ratio: float | None) -> float | None:
    return None if ratio is None or np.isinf(ratio) else ratio
