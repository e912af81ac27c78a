"""The tables of the store, and the revisions they went through.

``migrations/versions`` says how a database gets from one revision to the next; a test checks that they lead to
exactly what stands here. Column types are those that SQLite and PostgreSQL share.
"""

from typing import Final

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
    UniqueConstraint,
)

REVISIONS: Final[tuple[str, ...]] = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
)  # oldest first; the last is what this version writes
REVISION_TABLE: Final = "lutra_schema"  # alembic's own bookkeeping, under a name that says whose it is

# SQLite numbers rows by itself only where the key is plain INTEGER.
_ID = BigInteger().with_variant(Integer(), "sqlite")
_DIGEST = String(64)
_MOMENT = String(32)  # ISO 8601 in UTC, so that text order is time order

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("digest", _DIGEST, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("used_at", _MOMENT, nullable=False),
    Index("ix_device_name", "name"),
)

subject = Table(
    "subject",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("key", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("macs", BigInteger),
    Column("bytes_moved", BigInteger),
    UniqueConstraint("kind", "key", name="uq_subject_kind_key"),
    Index("ix_subject_kind", "kind", "id"),
)

# The statistics repeat what the samples say, so that SQL can ask for them; `Store.check` compares the two, and the
# whole row with its checksum (null in rows from before there was one).
# `label` and `spec` are null where they equal the subject's, and the references where
# the samples stand as they are. The wide columns come last: SQLite then reads the
# narrow ones without touching them.
measurement = Table(
    "measurement",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("device_id", _ID, ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
    Column("subject_id", _ID, ForeignKey("subject.id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("latency_ns", Float(53)),
    Column("rel_halfwidth", Float(53)),
    Column("p10_ns", Float(53)),
    Column("median_ns", Float(53)),
    Column("p90_ns", Float(53)),
    Column("iqr_ns", Float(53)),
    Column("sample_count", Integer, nullable=False),
    Column("executions_per_sample", BigInteger, nullable=False),
    Column("overhead_ns", Float(53), nullable=False),
    Column("reference_ratio", Float(53)),
    Column("measured_at", _MOMENT, nullable=False),
    Column("flags", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("versions", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("label", Text),
    Column("spec", Text),
    Column("rounds", LargeBinary, nullable=False),
    Column("samples", LargeBinary, nullable=False),
    Column("normalisation", Text),
    Column("compute_reference", LargeBinary),
    Column("memory_reference", LargeBinary),
    Column("checksum", BigInteger),
    UniqueConstraint("device_id", "subject_id", name="uq_measurement_device_subject"),
    Index("ix_measurement_subject", "subject_id"),
)

# How many rows a device has of a kind; changed in the transactions that write rows.
tally = Table(
    "tally",
    metadata,
    Column("device_id", _ID, ForeignKey("device.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("rows", BigInteger, nullable=False),
)

# What is known of a device beside its rows: the fusion rules of its runtime.
document = Table(
    "document",
    metadata,
    Column("device_id", _ID, ForeignKey("device.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("device_id", _ID, ForeignKey("device.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("token", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("acquired_at", _MOMENT, nullable=False),
    Column("heartbeat_ms", BigInteger, nullable=False),  # since the epoch
)
