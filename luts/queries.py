"""Reading rows from the database: one, all of a device in bounded memory, or how many there are."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, exists, false, func, select

from . import schema
from .database import Database
from .records import DeviceRecord
from .tallies import is_rare

_BATCH: Final = 256  # whole rows read in one short transaction


@dataclass(frozen=True, kw_only=True)
class DeviceSummary:
    """How much a store holds of a device.

    Attributes:
        device: which device.
        counts: rows by subject kind; kinds without rows are left out.
    """

    device: DeviceRecord
    counts: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON data."""
        plain = asdict(self.device) | {"digest": self.device.digest, "kind": self.device.fingerprint.kind}
        del plain["fingerprint"]
        return plain | {"counts": self.counts}


def by_kind(subjects: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the keys of subjects, given as kind and key, by kind."""
    keys: dict[str, set[str]] = defaultdict(set)
    for kind, key in subjects:
        keys[kind].add(key)
    return keys


def select_subject(kind: str, keys: Collection[str]) -> Select[Any]:
    """Return the query of the subjects of one kind with these keys."""
    return select(schema.subject).where(schema.subject.c.kind == kind, schema.subject.c.key.in_(list(keys)))


@cache
def select_one() -> Select[Any]:
    """Return the query of one whole row, by the parameters ``device_id``, ``kind`` and ``key``.

    It is made once: making it takes longer than running it.
    """
    by_name = (schema.subject.c.kind == bindparam("kind"), schema.subject.c.key == bindparam("key"))
    return _whole_rows().where(schema.measurement.c.device_id == bindparam("device_id"), *by_name)


def select_rows(device_id: int) -> Select[Any]:
    """Return the query of a device's measurements, with their subjects' columns as ``subject_*``."""
    return _whole_rows().where(schema.measurement.c.device_id == device_id)


def select_some(device_id: int, kind: str, keys: Collection[str]) -> Select[Any]:
    """Return the query of a device's measurements of the subjects of one kind with these keys.

    The subjects are found first: SQLite would otherwise go through all rows of the device.
    """
    wanted = select(schema.subject.c.id).where(schema.subject.c.kind == kind, schema.subject.c.key.in_(list(keys)))
    return select_rows(device_id).where(schema.measurement.c.subject_id.in_(wanted))


def _whole_rows() -> Select[Any]:
    subject = schema.subject.c
    named = (
        subject.kind.label("subject_kind"),
        subject.key.label("subject_key"),
        subject.label.label("subject_label"),
        subject.spec.label("subject_spec"),
    )
    return select(schema.measurement, *named).join(schema.subject)


def select_keys(device_id: int, kind: str, statuses: Collection[str] | None) -> Select[Any]:
    """Return the query of the keys of a device's rows of one kind (with one of these statuses, if given)."""
    measurement, subject = schema.measurement.c, schema.subject.c
    mine = exists().where(measurement.device_id == device_id, measurement.subject_id == subject.id)
    if statuses is not None:
        mine = mine.where(measurement.status.in_(list(statuses)))
    # Not joined: SQLite would go through all rows of the device, however few of that kind there are.
    return select(subject.key).where(subject.kind == kind, mine)


def stream_rows(database: Database, device_id: int, kind: str | None) -> Iterator[Sequence[Row[Any]]]:
    """Yield whole rows batch by batch: no transaction stays open while the caller works.

    Paging by subject follows the unique index; any other order would sort all rows for each batch.

    Args:
        database: where from.
        device_id: whose rows.
        kind: only this subject kind.
    """
    position = schema.measurement.c.subject_id
    query = select_rows(device_id).order_by(position).limit(_BATCH)
    last = 0
    while True:
        with database.read() as connection:
            page = query.where(position > last, *of_kind(connection, device_id, kind, last, _BATCH))
            rows = connection.execute(page).all()
        if rows:
            yield rows
        if len(rows) < _BATCH:
            return
        last = rows[-1].subject_id


def content_mark(connection: Connection, device_id: int) -> str:
    """Return text that changes with any row or document of a device: their number, checksums and newest moment."""
    row, document = schema.measurement.c, schema.document.c
    rows = select(func.count(), func.sum(row.checksum), func.max(row.measured_at)).where(row.device_id == device_id)
    digest = hashlib.sha256(repr(connection.execute(rows).one()).encode())
    documents = select(document.name, document.value).where(document.device_id == device_id).order_by(document.name)
    for name, value in connection.execute(documents):
        digest.update(repr((name, value)).encode())
    return digest.hexdigest()[:32]


def of_kind(
    connection: Connection, device_id: int, kind: str | None, after: int, limit: int
) -> tuple[ColumnElement[bool], ...]:
    """What to add to a query of a device's rows, joined with their subjects, so that it gives those of one kind.

    Args:
        connection: to look which way is quicker.
        device_id: whose rows.
        kind: which kind; None for any.
        after: the rows wanted are of subjects with higher numbers,
        limit: and are as many at most, the first ones.
    """
    if kind is None:
        return ()
    if not is_rare(connection, device_id, kind):
        return (schema.subject.c.kind == kind,)
    measurement, subject = schema.measurement.c, schema.subject.c
    mine = exists().where(measurement.device_id == device_id, measurement.subject_id == subject.id)
    first = select(subject.id).where(subject.kind == kind, subject.id > after, mine).order_by(subject.id).limit(limit)
    found = connection.execute(first).scalars().all()
    return (measurement.subject_id.in_(found) if found else false(),)
