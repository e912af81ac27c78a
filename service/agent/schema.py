"""The tables that an agent keeps beside rows and jobs in its own store: what the server has not got yet.

Triggers write down each row in the transaction that writes it, whoever does: nothing has to be told of the agent, and
nothing that is on disk can be forgotten.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, UniqueConstraint, text

from ...luts.migrate import Lineage, require_lineage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...luts import Store

REVISIONS: Final[tuple[str, ...]] = ("0001",)

metadata = MetaData()

# Rows that the server has to get, in the order of their last change; `refused` says why it did not want one.
outbox = Table(
    "agent_outbox",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("device_id", Integer, nullable=False),
    Column("subject_id", Integer, nullable=False),
    Column("refused", Text),
    UniqueConstraint("device_id", "subject_id", name="uq_agent_outbox_row"),
    sqlite_autoincrement=True,  # a number never comes again: it says which change of a row was delivered
)

# Jobs of the server that the agent has, each under the same id in this store.
assignment = Table(
    "agent_assignment",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("source", String(32), nullable=False),  # of the events and the log that this store has of it
    Column("fate", String(16), nullable=False),
)

# Tables of the server that rows went into: another `created_at` means another table, which has none of them.
table_there = Table(
    "agent_table",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("created_at", String(32), nullable=False),
    Column("documents", String(64), nullable=False),  # hash of those that were delivered
)

# What the next job is asked for with: on disk before it is sent, so that a lost answer is given once more.
intent = Table("agent_intent", metadata, Column("token", String(32), primary_key=True))

AGENT: Final = Lineage(metadata, REVISIONS, "lutra_agent", Path(__file__).with_name("migrations"))

_NOTED: Final = """
CREATE TRIGGER {name} AFTER {event} ON measurement BEGIN
  DELETE FROM agent_outbox WHERE device_id = NEW.device_id AND subject_id = NEW.subject_id;
  INSERT INTO agent_outbox (device_id, subject_id) VALUES (NEW.device_id, NEW.subject_id);
END
"""
_TRIGGERS: Final = {"agent_row_written": "INSERT", "agent_row_changed": "UPDATE"}


def require_agent_schema(store: "Store") -> None:
    """Make the agent's tables of a store this version's, and see to it that rows are written down.

    Where rows were not written down so far, all that are there are.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote the tables.
    """
    require_lineage(store.database, AGENT)
    with store.database.write() as connection:
        known = set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars())
        missing = [name for name in _TRIGGERS if name not in known]
        for name in missing:
            connection.execute(text(_NOTED.format(name=name, event=_TRIGGERS[name])))
        if missing:
            note_all(connection)


def note_all(connection: "Connection", device_id: int | None = None) -> None:
    """Write down all rows, or those of one device, as if they had just been written."""
    owned = "" if device_id is None else "WHERE device_id = :device"
    given = {} if device_id is None else {"device": device_id}
    connection.execute(text(f"DELETE FROM agent_outbox {owned}"), given)
    rows = f"SELECT device_id, subject_id FROM measurement {owned} ORDER BY device_id, subject_id"
    connection.execute(text(f"INSERT INTO agent_outbox (device_id, subject_id) {rows}"), given)
