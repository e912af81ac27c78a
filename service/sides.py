"""The tables that a command is given: a device of the store, or a file of any kind that holds one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..luts import Fingerprint, Measurement, RowNumbers, Store
    from .client import Client

_DATABASE = (".db", ".sqlite", ".sqlite3", ".bak")


@dataclass(frozen=True)
class Side:
    """One table, open for reading.

    Attributes:
        title: what was asked for.
        name: the device's name.
        fingerprint: the device.
        numbers: its rows without samples; may be read once.
    """

    title: str
    name: str
    fingerprint: "Fingerprint"
    numbers: "Iterator[RowNumbers]"


@dataclass(frozen=True)
class Part:
    """One table with all that it holds, open for reading.

    Attributes:
        title: what it was read from.
        name: the device's name.
        fingerprint: the device.
        rows: whole rows; may be read once.
        documents: what else is known of the device.
    """

    title: str
    name: str
    fingerprint: "Fingerprint"
    rows: "Iterator[Measurement]"
    documents: dict[str, Any]


@contextmanager
def open_side(what: str, store: str | None, precision: str | None, server: str | None = None) -> Iterator[Side]:
    """Open the table that ``what`` names: ``DEVICE`` of the store or server, ``FILE.db:DEVICE``, or another file.

    Raises:
        UsageError: a store of several devices without saying which.
        LutraError: it cannot be read.
    """
    from ..luts import RowNumbers, Store
    from .stores import open_source, require_source

    path, device = _split(what)
    if path is None:
        with open_source(store, server) as opened:
            yield _stored(what, require_source(opened), device, precision)
    elif path.suffix in _DATABASE:
        with Store.open(path, create=False, read_only=True) as opened:
            yield _stored(what, opened, device or _only_device(path, opened), precision)
    else:
        from ..luts.exchange import read

        found = read(path)
        yield Side(what, found.name, found.fingerprint, map(RowNumbers.of, found.rows))


@contextmanager
def open_parts(path: Path) -> "Iterator[Iterator[Part]]":
    """Open all tables in a file, or in a store's file.

    Raises:
        LutraError: it cannot be read.
    """
    from ..luts import Store

    if path.suffix in _DATABASE:
        with Store.open(path, create=False, read_only=True) as opened:
            yield (
                Part(str(path), record.name, record.fingerprint, opened.measurements(record), opened.documents(record))
                for record in reversed(opened.devices())
            )
    else:
        from ..luts.exchange import read

        found = read(path)
        yield iter([Part(str(path), found.name, found.fingerprint, found.rows, dict(found.documents))])


def _split(what: str) -> tuple[Path | None, str]:
    """The file, if it names one, and the device."""
    if (path := Path(what)).is_file() or "/" in what:
        return path, ""
    name, colon, device = what.rpartition(":")
    if colon and Path(name).is_file():
        return Path(name), device
    return (path, "") if path.suffix in _DATABASE else (None, what)


def _stored(what: str, store: "Store | Client", device: str, precision: str | None) -> Side:
    from .stores import record_of

    record = record_of(store, device, precision)
    return Side(what, record.name, record.fingerprint, store.numbers(record))


def _only_device(path: Path, store: "Store") -> str:
    from ..networks.errors import UsageError

    records = store.devices()
    if len(records) != 1:
        named = ", ".join(f"{record.name} ({record.digest[:12]})" for record in records)
        raise UsageError(f"{path} has {len(records)} devices: {named}", hint=f"say which one, as in {path}:DEVICE")
    return records[0].digest
