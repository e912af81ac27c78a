"""Database faults in Lutra's terms: each names the store, what is wrong and the fix."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from ..networks.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

_ELSEWHERE: Final = "or point LUTRA_STORE at another file"

# Primary result codes of SQLite (sqlite.org/rescode.html) and SQLSTATEs of PostgreSQL (its appendix A).
_READ_ONLY: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, "25006", "42501"}
_FULL: Final = {sqlite3.SQLITE_FULL, "53100"}
_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, "55P03", "40001", "40P01"}
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, "XX001", "XX002"}
# Classes of SQLSTATE: the connection failed (08), the server is shutting down, starting or crashed (57P).
_AWAY: Final = ("08", "57P")
# A write that the system cuts short for any reason but ENOSPC (a quota, a limit on the size of a file).
_CUT_SHORT: Final = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}


def salvaging(where: str) -> str:
    """The command that saves what stands in a damaged store, for a hint."""
    return f"'lutra table salvage {shlex.quote(where)} NEW.db'"


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn database errors raised inside into `StoreError` and its children.

    Args:
        where: names the store (a path, or a URL without its password).
    """
    try:
        yield
    except DBAPIError as error:
        raise translate(where, error.orig or error) from error
    except sqlite3.Error as error:
        raise translate(where, error) from error


def translate(where: str, error: BaseException) -> StoreError:
    """Return Lutra's error for one of the database driver's."""
    extended: int | str | None = getattr(error, "sqlite_errorcode", None)
    code = extended & 0xFF if isinstance(extended, int) else getattr(error, "sqlstate", None)
    if code in _FULL or extended in _CUT_SHORT:
        return StoreFullError(f"no room to write to {where} ({error})", hint=f"free some space, {_ELSEWHERE}")
    if code in _READ_ONLY:
        return StoreReadOnlyError(
            f"{where} cannot be written ({error})", hint=f"make it and its folder writable, {_ELSEWHERE}"
        )
    if code in _LOCKED:
        return StoreLockedError(
            f"another process is writing to {where} ({error})", hint="wait until it is done, then try again"
        )
    if code in _CORRUPT or "Could not decode to UTF-8" in str(error):  # a fault of Python's module has no code
        return StoreCorruptError(
            f"{where} is damaged, or not a Lutra store ({error})",
            hint=f"save what stands with {salvaging(where)}, restore it from a backup, {_ELSEWHERE}",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"{where} cannot be opened ({error})", hint=f"check path and permissions, {_ELSEWHERE}")
    if (isinstance(code, str) and code.startswith(_AWAY)) or _lost_connection(error):
        return StoreUnavailableError(
            f"the server of {where} does not answer ({error})",
            hint="check that it runs and can be reached, then try again",
        )
    return StoreError(f"{where} failed: {error}", hint=f"check the disk and the system log, {_ELSEWHERE}")


def _lost_connection(error: BaseException) -> bool:
    """Whether psycopg found no server, or lost it: then there is no SQLSTATE."""
    return (
        type(error).__module__.startswith("psycopg")
        and type(error).__name__ in ("OperationalError", "ConnectionTimeout")
        and getattr(error, "sqlstate", None) is None
    )
