"""Where the store is: the default, the environment's choice, a path or a URL, checked before anything is opened."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_data_path
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..networks.errors import (
    NotSupportedError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    UsageError,
)
from .faults import salvaging

ENVIRONMENT: Final = "LUTRA_STORE"
_SMALLEST_PAGE: Final = 512  # sqlite.org/fileformat.html, section 1.3.2
_EFFECTIVE: Final = os.access in os.supports_effective_ids
_ANOTHER: Final = f"point {ENVIRONMENT} at another file, in a folder you can write to"


@dataclass(frozen=True)
class Location:
    """A store's place.

    Attributes:
        url: what SQLAlchemy connects to.
        path: the file of an SQLite store; None for a server.
    """

    url: URL
    path: Path | None

    @property
    def missing(self) -> bool:
        """Whether it is a file that does not exist. One that cannot be reached is not: opening it says why."""
        try:
            return self.path is not None and not self.path.exists()
        except OSError:
            return False

    def __str__(self) -> str:
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)


def default_store_path() -> Path:
    """Return the store's file when nothing else is asked for: ``lutra.db`` in the user's data folder."""
    return user_data_path("lutra", appauthor=False) / "lutra.db"


def locate(url_or_path: str | os.PathLike[str] | None = None) -> Location:
    """Say where the store is: the argument, else ``LUTRA_STORE``, else `default_store_path`.

    Raises:
        UsageError: a malformed URL, or a store in memory.
        NotSupportedError: a database other than SQLite and PostgreSQL.
    """
    if url_or_path is None:
        url_or_path = os.environ.get(ENVIRONMENT) or default_store_path()
    text = os.fspath(url_or_path)
    if "://" not in text:
        return _file(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UsageError("the store's URL is malformed", hint="as in postgresql://user@host/lutra") from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        if url.query:
            raise UsageError(f"the store's URL {text!r} has options", hint="give the path alone")
        return _file(url.database or "")
    if backend in ("postgresql", "postgres"):
        return Location(url.set(drivername="postgresql+psycopg"), None)
    raise NotSupportedError(f"a store on {backend}", hint="use a file (SQLite) or a postgresql:// URL")


def _file(text: str) -> Location:
    if text in ("", ":memory:"):
        raise UsageError("a store in memory keeps nothing", hint="give the path of a file")
    path = Path(text).expanduser().absolute()
    return Location(URL.create("sqlite", database=str(path)), path)


def check_file(path: Path, *, create: bool, read_only: bool) -> None:
    """Check that the file can be used as asked; makes its folder when it may create the store.

    Raises:
        StoreReadOnlyError: the file or its folder cannot be written.
        StoreFullError: no room for the folder.
        StoreCorruptError: it is a folder, a device or the like.
        StoreError: it does not exist (and may not be created), or the path runs through a file.
    """
    try:
        exists = path.exists()
        if exists and not path.is_file():
            raise StoreCorruptError(f"{path} is not a file", hint=_ANOTHER)
        if not exists and (read_only or not create):
            raise StoreError(f"there is no store at {path}", hint="make one with 'lutra profile'")
        if exists:
            _require_size(path)
        if not exists:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not read_only and not _writable(path):
            raise StoreReadOnlyError(f"{path} cannot be written", hint=f"make it writable, or {_ANOTHER}")
    except OSError as error:
        raise _system_fault(path, error) from error
    # The journal stands beside the file, so the folder must be writable too.
    if not read_only and not _writable(path.parent):
        raise StoreReadOnlyError(f"the folder {path.parent} cannot be written", hint=f"make it writable, or {_ANOTHER}")


def _require_size(path: Path) -> None:
    """Refuse a file that is too short for a database, though not empty: SQLite would overwrite it.

    What is in others is for SQLite to judge. Reading a database here would be harmful: when a process closes any file,
    POSIX takes away all locks that it has on it, those of the process's other connections among them, and another
    process that then closes its own would take itself for the last one and delete the journal (sqlite.org/howtocorrupt,
    section 2.2).
    """
    if 0 < path.stat().st_size < _SMALLEST_PAGE:
        raise StoreCorruptError(
            f"{path} is damaged, or not a Lutra store",
            hint=f"save what stands with {salvaging(str(path))}, restore it from a backup, or {_ANOTHER}",
        )


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=_EFFECTIVE)


def _system_fault(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(f"no room for {path} ({error.strerror})", hint=f"free some space, or {_ANOTHER}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreReadOnlyError(f"{path} cannot be reached or made ({error.strerror})", hint=_ANOTHER)
    return StoreError(f"{path} cannot be a store ({error.strerror})", hint=_ANOTHER)
