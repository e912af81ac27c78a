"""Uniting tables of one device: rows of another store, or of a file, beside those that a store has."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from .diff import Change
from .fingerprint import Fingerprint
from .measurement import Measurement
from .numbers import RowNumbers
from .store import Store

Preference: TypeAlias = Literal["kept", "newer"]
PREFERENCES: Final[tuple[Preference, ...]] = ("kept", "newer")


@dataclass
class MergeReport:
    """What merging one table did.

    Attributes:
        added: rows of subjects that the store had no row of.
        replaced: rows that took the place of one the store had.
        kept: rows that were left out because the store's stands.
        disagreements: subjects whose two numbers differ beyond both intervals, whichever was kept.
    """

    added: int = 0
    replaced: int = 0
    kept: int = 0
    disagreements: list[Change] = field(default_factory=list)


def merge(
    store: Store,
    fingerprint: Fingerprint,
    rows: Iterable[Measurement],
    *,
    name: str,
    documents: Mapping[str, Any] | None = None,
    prefer: Preference = "kept",
) -> MergeReport:
    """Unite a table with what a store has of the same device, in one transaction.

    A device is the same if its fingerprint is: rows of another never mix with its rows, but stand beside them under
    their own fingerprint. A number always takes the place of a failure, and never the other way round.

    Args:
        store: where to.
        fingerprint: whose rows they are.
        rows: read once, a few hundred at a time; no other process can write meanwhile.
        name: of the device, where the store does not know it yet.
        documents: kept where the store has none of that name.
        prefer: which of two numbers of a subject stays: the one that the store has, or the one measured later.

    Raises:
        StoreError: the store cannot be written; then nothing was changed.
        LutraError: what iterating over ``rows`` raises; then nothing was changed.
    """
    report = MergeReport()
    with store.transaction():
        if all(record.digest != fingerprint.digest for record in store.devices()):
            store.register_device(fingerprint, name)
        have = {(row.subject_kind, row.subject_key): row for row in store.numbers(fingerprint)}
        store.record_many(fingerprint, _chosen(have, rows, prefer, report), replace=True)
        known = store.documents(fingerprint)
        for title, value in (documents or {}).items():
            if title not in known:
                store.set_document(fingerprint, title, value)
    return report


def _chosen(
    have: Mapping[tuple[str, str], RowNumbers], rows: Iterable[Measurement], prefer: Preference, report: MergeReport
) -> Iterator[Measurement]:
    """The rows that are to be written; what is done with each is counted."""
    for row in rows:
        mine = have.get((row.subject_kind, row.subject_key))
        if mine is None:
            report.added += 1
            yield row
            continue
        theirs = RowNumbers.of(row)
        if mine.latency_ns is not None and theirs.latency_ns is not None:
            change = Change.between(mine, theirs)
            if change.beyond:
                report.disagreements.append(change)
        if _takes_over(mine, theirs, prefer):
            report.replaced += 1
            yield row
        else:
            report.kept += 1


def _takes_over(mine: RowNumbers, theirs: RowNumbers, prefer: Preference) -> bool:
    if (mine.latency_ns is None) != (theirs.latency_ns is None):
        return mine.latency_ns is None
    return prefer == "newer" and theirs.measured_at > mine.measured_at
