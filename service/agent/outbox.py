"""`Outbox`: rows that the server has not got yet, and which of its tables they go into."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select, update

from ...luts import DeviceRecord, Fingerprint, Measurement, Store
from ...luts import schema as rows_schema
from ...luts._json import canonical
from ...luts.dialects import insert_into
from ...luts.queries import select_rows
from ...luts.rows import measurement_from
from ...networks.errors import StoreCorruptError
from ..client.work import TableThere
from .schema import note_all, outbox, require_agent_schema, table_there

_MOST_ROWS: Final = 100
MOST_BYTES: Final = 1 << 20
NO_DOCUMENTS: Final = ""


@dataclass(frozen=True)
class Waiting:
    """Some rows of one device that the server has to get.

    Attributes:
        device: whose they are.
        rows: as they stand now.
        sequences: which changes of them these are.
    """

    device: DeviceRecord
    rows: tuple[Measurement, ...]
    sequences: tuple[int, ...]


class Outbox:
    """Rows of a store that wait for delivery. Each change of a row waits until exactly that change was delivered.

    Args:
        store: the agent's own, open for writing; its tables of agents are made if need be.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote the tables.
    """

    def __init__(self, store: Store) -> None:
        require_agent_schema(store)
        self._store = store
        self._database = store.database

    def next(self, most_bytes: int = MOST_BYTES) -> Waiting | None:
        """The rows that wait longest, of one device, within so many bytes, or one; None where none wait."""
        with self._database.read() as connection:
            query = select(outbox).where(outbox.c.refused.is_(None)).order_by(outbox.c.sequence).limit(_MOST_ROWS)
            entries = connection.execute(query).all()
        mine = [entry for entry in entries if entry.device_id == entries[0].device_id]
        return self._read(mine[0].device_id, {e.subject_id: e.sequence for e in mine}, most_bytes) if mine else None

    def _read(self, device_id: int, sequences: dict[int, int], most_bytes: int) -> Waiting | None:
        with self._database.read() as connection:
            digest = connection.execute(
                select(rows_schema.device.c.digest).where(rows_schema.device.c.id == device_id)
            ).scalar_one_or_none()
            subjects = rows_schema.measurement.c.subject_id
            stored = connection.execute(select_rows(device_id).where(subjects.in_(sequences))).mappings().all()
        by_subject = {columns["subject_id"]: columns for columns in stored}
        gone = [sequence for subject, sequence in sequences.items() if digest is None or subject not in by_subject]
        if digest is None or gone:  # deleted since
            self.delivered(gone)
            return self.next(most_bytes)
        device = self._store.device(digest)
        rows: list[Measurement] = []
        taken: list[int] = []
        size = 0
        for subject, sequence in sequences.items():
            try:
                row = measurement_from(by_subject[subject], device.name)
            except StoreCorruptError as error:
                self.refuse([sequence], error.message)
                continue
            size += len(row.to_json())
            if rows and size > most_bytes:
                break
            rows.append(row)
            taken.append(sequence)
        return Waiting(device, tuple(rows), tuple(taken)) if rows else self.next(most_bytes)

    def delivered(self, sequences: Sequence[int]) -> None:
        """Forget changes of rows: the server has them. What changed since is another change, and waits."""
        with self._database.write() as connection:
            connection.execute(delete(outbox).where(outbox.c.sequence.in_(sequences)))

    def refuse(self, sequences: Sequence[int], reason: str) -> None:
        """Set changes of rows aside, which the server does not take; `retry` brings them back."""
        with self._database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.sequence.in_(sequences)).values(refused=reason))

    def retry(self) -> None:
        """Offer what was refused once more."""
        with self._database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.refused.is_not(None)).values(refused=None))

    def refused(self) -> str | None:
        """Why the server did not take a row; None where it took all."""
        with self._database.read() as connection:
            query = select(outbox.c.refused).where(outbox.c.refused.is_not(None)).limit(1)
            return connection.execute(query).scalar_one_or_none()

    def __len__(self) -> int:
        """How many rows the server has not got."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(outbox)).scalar_one()

    # -- tables of the server -----------------------------------------------------------------------------

    def goes_into(self, table: TableThere) -> None:
        """Remember which table of the server rows go into; one that cannot have those delivered gets all of them."""
        with self._database.write() as connection:
            known = _table(connection, table.digest)
            if known is not None and known.created_at == table.created_at and self._may_have_all(connection, table):
                return
            row = {"digest": table.digest, "created_at": table.created_at, "documents": NO_DOCUMENTS}
            connection.execute(insert_into(connection, table_there, row, ("digest",), replace=True), [row])
            if (device_id := _device_id(connection, table.digest)) is not None:
                note_all(connection, device_id)

    def _may_have_all(self, connection: Connection, table: TableThere) -> bool:
        """Whether a table has as many rows as were delivered to it. One restored from an old backup has fewer."""
        device_id = _device_id(connection, table.digest)
        if device_id is None:
            return True
        rows, waiting = rows_schema.measurement, outbox
        held = select(func.count()).select_from(rows).where(rows.c.device_id == device_id)
        left = select(func.count()).select_from(waiting).where(waiting.c.device_id == device_id)
        delivered = connection.execute(held).scalar_one() - connection.execute(left).scalar_one()
        return sum(table.counts.values()) >= delivered

    def forget_table(self, digest: str) -> None:
        """Forget a table that the server has no more."""
        with self._database.write() as connection:
            connection.execute(delete(table_there).where(table_there.c.digest == digest))

    def tables(self) -> list[str]:
        """Digests of the devices that the server knows from this agent."""
        with self._database.read() as connection:
            return list(connection.execute(select(table_there.c.digest)).scalars())

    def has_table(self, digest: str) -> bool:
        """Whether the server knows a device from this agent."""
        with self._database.read() as connection:
            return _table(connection, digest) is not None

    def documents_of(self, fingerprint: Fingerprint) -> dict[str, Any] | None:
        """What a device's table has beside its rows; None where the server has just that."""
        documents = self._store.documents(fingerprint)
        with self._database.read() as connection:
            known = _table(connection, fingerprint.digest)
        return None if not documents or (known and known.documents == _hash(documents)) else documents

    def documents_delivered(self, digest: str, documents: dict[str, Any]) -> None:
        """Remember that the server has these."""
        with self._database.write() as connection:
            mine = table_there.c.digest == digest
            connection.execute(update(table_there).where(mine).values(documents=_hash(documents)))


def _table(connection: Connection, digest: str) -> Row[Any] | None:
    return connection.execute(select(table_there).where(table_there.c.digest == digest)).one_or_none()


def _device_id(connection: Connection, digest: str) -> int | None:
    device = rows_schema.device.c
    return connection.execute(select(device.id).where(device.digest == digest)).scalar_one_or_none()


def _hash(documents: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(documents).encode()).hexdigest()
