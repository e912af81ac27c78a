"""Connections and transactions: SQLite set up so that a committed row survives, PostgreSQL as it comes."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from ..networks.errors import MissingDependencyError, StoreLockedError, StoreReadOnlyError
from .faults import translated
from .location import Location

logger = logging.getLogger(__name__)

_WRITES: Final = "lutra_writes"


class Database:
    """Short transactions on one store. Safe to share between threads, and usable after a fork.

    Args:
        location: where it is.
        read_only: refuse to write.
        timeout_s: how long to wait for another process's transaction.
    """

    def __init__(self, location: Location, *, read_only: bool, timeout_s: float) -> None:
        self.location = location
        self.read_only = read_only
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._own = threading.local()  # .connection: of the transaction that this thread is writing in
        self._watch: sqlite3.Connection | None = None
        self._kept: sqlite3.Connection | None = None
        self._watching = threading.Lock()
        self._engine = self._make_engine(immutable=False)

    @property
    def where(self) -> str:
        """The store's name in messages."""
        return str(self.location)

    def connect(self) -> None:
        """Try the connection; a read-only store in a folder that nobody can write to needs another kind."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
                if self.location.path:
                    connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        except DBAPIError as error:
            if not self._only_the_journal_is_missing(error):
                with translated(self.where):
                    raise
            # SQLite cannot make its shared-memory file there. Without a journal nobody has written since the
            # last checkpoint, and in that folder nobody can.
            self._engine.dispose()
            self._engine = self._make_engine(immutable=True)
            with translated(self.where), self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")

    def _only_the_journal_is_missing(self, error: DBAPIError) -> bool:
        path = self.location.path
        if path is None or not self.read_only or path.with_name(f"{path.name}-wal").exists():
            return False
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads; within `write`, it sees what was written there."""
        if (own := getattr(self._own, "connection", None)) is not None:
            with translated(self.where):
                yield own
            return
        self._after_fork()
        with translated(self.where), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes: committed, and on disk, when the block ends; undone if it raises.

        Within another in the same thread it is a part of that one: undone alone if it raises, else committed with it.

        Raises:
            StoreReadOnlyError: the store was opened to be read.
        """
        if self.read_only:
            raise StoreReadOnlyError(f"{self.where} was opened read-only", hint="open it without read_only")
        if (own := getattr(self._own, "connection", None)) is not None:
            with translated(self.where), _part(own):
                yield own
            return
        self._after_fork()
        with translated(self.where), self._engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                self._own.connection = connection
                try:
                    yield connection
                finally:
                    del self._own.connection

    @contextmanager
    def autocommit(self) -> Iterator[sqlite3.Connection]:
        """An SQLite connection outside any transaction, for the statements that demand it."""
        self._after_fork()
        with translated(self.where):
            pooled = self._engine.raw_connection()
            try:
                connection = pooled.driver_connection
                assert isinstance(connection, sqlite3.Connection)
                yield connection
            finally:
                pooled.close()

    def change_mark(self) -> str:
        """Text that differs after anybody has committed something, this process included.

        SQLite's is ``PRAGMA data_version`` of a connection that never writes (sqlite.org/pragma.html).
        PostgreSQL's is the snapshot: which transactions that write are done (manual, 9.28.12).
        """
        self._after_fork()
        if self.location.path is None:
            with self.read() as connection:
                return str(connection.exec_driver_sql("SELECT pg_current_snapshot()").scalar_one())
        with self._watching, translated(self.where):
            if self._watch is None:
                self._watch = _sqlite(f"{self.location.path.as_uri()}?mode=ro", self._timeout_s)
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
            return str(version)

    def use_wal(self) -> None:
        """Let readers and one writer of an SQLite file work side by side (the mode stays with the file)."""
        if self.location.path is None:
            return
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                with self.autocommit() as connection:
                    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                break
            except StoreLockedError:
                # Changing the mode does not wait for other connections as a transaction would.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        if mode != "wal":
            logger.info("%s: the file system has no write-ahead log; journal mode is %s", self.where, mode)

    def close(self) -> None:
        """Close all connections."""
        with self._watching:
            if self._watch is not None:
                self._watch.close()
            self._watch = None
        self._engine.dispose()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            # A child that closed the parent's SQLite connection would drop the parent's file locks.
            self._engine.dispose(close=False)
            self._kept, self._watch = self._watch, None  # nor may the parent's other one be closed here
            self._pid = os.getpid()

    def _make_engine(self, *, immutable: bool) -> Engine:
        if self.location.path is None:
            return _server_engine(self.location, self._timeout_s)
        mode = "ro" if self.read_only else "rwc"
        uri = f"{self.location.path.as_uri()}?mode={mode}{'&immutable=1' * immutable}"
        engine = create_engine(
            "sqlite://", creator=lambda: _sqlite(uri, self._timeout_s), poolclass=QueuePool, pool_size=2
        )
        event.listen(engine, "begin", _begin)
        return engine


def _server_engine(location: Location, timeout_s: float) -> Engine:
    patience = {"options": f"-c lock_timeout={max(1, round(1000 * timeout_s))}"}
    try:
        # A connection that the server closed while it was unused is replaced, not used.
        return create_engine(location.url, connect_args=patience, pool_pre_ping=True)
    except ImportError as error:
        raise MissingDependencyError("psycopg", "postgres", "a store on PostgreSQL") from error


def _sqlite(uri: str, timeout_s: float) -> sqlite3.Connection:
    # isolation_level=None: transactions begin where `_begin` says, not where the driver guesses.
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")  # in WAL mode the default loses commits at a power cut
    return connection


@contextmanager
def _part(connection: Connection) -> Iterator[None]:
    """Undo what the block did if it raises."""
    savepoint = connection.begin_nested()
    try:
        yield
    except BaseException:
        # On a full disk SQLite undoes the whole transaction by itself, and there is no savepoint any more.
        with suppress(DBAPIError):
            savepoint.rollback()
        raise
    savepoint.commit()


def _begin(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes fails at once when another wrote in between;
    # one that takes the write lock at the start waits for its turn.
    writes: Any = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
