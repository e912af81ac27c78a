"""Reading rows from the database: one, all of a device in bounded memory, or how many there are."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from . import schema
from .database import Database
from .measurement import SUBJECT_KINDS
from .records import DeviceRecord

_BATCH: Final = 256  # whole rows read in one short transaction
_KERNEL: Final = "kernel"


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
    query = select(schema.subject.c.key).join(schema.measurement)
    query = query.where(schema.measurement.c.device_id == device_id, schema.subject.c.kind == kind)
    return query if statuses is None else query.where(schema.measurement.c.status.in_(list(statuses)))


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
    if kind is not None:
        query = query.where(schema.subject.c.kind == kind)
    last = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(position > last)).all()
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


def count_rows(connection: Connection) -> dict[int, dict[str, int]]:
    """Return the rows of each device by subject kind: ``{device_id: {kind: rows}}``.

    The rows of a device are counted in the index alone. Kernels are by far the most subjects: they are what
    the others leave of the total.
    """
    measurement, subject = schema.measurement.c, schema.subject.c
    total = select(measurement.device_id, func.count()).group_by(measurement.device_id)
    others = [kind for kind in SUBJECT_KINDS if kind != _KERNEL]
    by_kind = (
        select(measurement.device_id, subject.kind, func.count())
        .select_from(schema.subject.join(schema.measurement))
        .where(subject.kind.in_(others))
        .group_by(measurement.device_id, subject.kind)
    )
    counts: dict[int, dict[str, int]] = {}
    for device_id, kind, rows in connection.execute(by_kind):
        counts.setdefault(device_id, {})[kind] = rows
    for device_id, rows in connection.execute(total):
        counted = counts.setdefault(device_id, {})
        if kernels := rows - sum(counted.values()):
            counted[_KERNEL] = kernels
    return {device_id: dict(sorted(counted.items())) for device_id, counted in counts.items()}
