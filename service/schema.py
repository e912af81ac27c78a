"""The tables that the service keeps beside the store's own: a lineage of their own, in the same database.

``migrations`` says how they get from one revision to the next; a test checks that they lead to what stands here.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from ..luts.migrate import Lineage, require_lineage

if TYPE_CHECKING:
    from ..luts import Store

REVISIONS: Final[tuple[str, ...]] = ("0001", "0002", "0003")  # oldest first; the last is what this version writes

# SQLite numbers rows by itself only where the key is plain INTEGER.
_ID = BigInteger().with_variant(Integer(), "sqlite")
_MOMENT = String(32)  # ISO 8601 in UTC, so that text order is time order
_ONE_A_DEVICE = text("device IS NOT NULL AND state IN ('running', 'cancelling')")

metadata = MetaData()

# `number` is the order of coming, `id` what others call it. The last five are of the worker that has it: the token lets
# that one alone write, host, process and heartbeat say whether it is still there. That a device is measured by one job
# at a time is kept by the database itself.
job = Table(
    "job",
    metadata,
    Column("number", _ID, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("request", Text, nullable=False),
    Column("device", Text),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("limit_s", Float(53)),
    Column("idempotency_key", String(255), unique=True),
    Column("waits_for", String(32)),
    Column("cloned_from", String(32)),
    Column("created_at", _MOMENT, nullable=False),
    Column("started_at", _MOMENT),
    Column("finished_at", _MOMENT),
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("log_bytes", BigInteger, nullable=False),
    Column("error", Text),
    Column("result", Text),
    Column("worker", Text),
    Column("host", Text),
    Column("pid", BigInteger),
    Column("token", String(32)),
    Column("heartbeat_ms", BigInteger),  # since the epoch
    Index("ix_job_state", "state", "priority", "number"),
    Index("ix_job_waits_for", "waits_for"),
    Index(
        "uq_job_running_device",
        "device",
        unique=True,
        sqlite_where=_ONE_A_DEVICE,
        postgresql_where=_ONE_A_DEVICE,
    ),
)


def _of_job() -> "Column[int]":
    owner = ForeignKey("job.number", ondelete="CASCADE")
    return Column("job_number", _ID, owner, primary_key=True, autoincrement=False)


# What happened, numbered from 1 without gaps, in the order in which it was committed.
job_event = Table(
    "job_event",
    metadata,
    _of_job(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)

job_log = Table(
    "job_log",
    metadata,
    _of_job(),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),  # characters before it
    Column("content", Text, nullable=False),
)

job_file = Table(
    "job_file",
    metadata,
    _of_job(),
    Column("name", String(255), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# How much of what an agent has written down of a job has been taken over: it sends again what it got no answer to.
job_stream = Table(
    "job_stream",
    metadata,
    _of_job(),
    Column("source", String(32), primary_key=True),  # where the agent wrote it down; its numbers count from there
    Column("events", BigInteger, nullable=False),  # number of the last one
    Column("log_characters", BigInteger, nullable=False),
)

# Whom a server answers: hashes of tokens, never tokens.
token = Table(
    "token",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT),
    Column("revoked_at", _MOMENT),
)

# The last sign of life of each device's agent.
presence = Table(
    "presence",
    metadata,
    Column("device", String(64), primary_key=True),  # digest; it may outlive the device's rows
    Column("seen_at", _MOMENT, nullable=False),
    Column("agent", Text),
    Column("state", Text, nullable=False),
)

SERVICE: Final = Lineage(metadata, REVISIONS, "lutra_service", Path(__file__).with_name("migrations"))


def require_service_schema(store: "Store") -> None:
    """Make the service's tables of a store this version's.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote them.
        StoreReadOnlyError: they must be made or upgraded, but the store was opened read-only.
    """
    require_lineage(store.database, SERVICE)
