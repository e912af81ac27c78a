"""Opening the store of a command."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..luts import DeviceRecord, Store
    from ..luts.location import Location
    from ..profiler import Finding
    from .client import Client


@contextmanager
def open_store(store: str | None, *, read_only: bool = True, create: bool = False) -> "Iterator[Store | None]":
    """The store; None where there is none yet and none is to be made."""
    from ..luts import Store
    from ..luts.location import locate

    if not create and locate(store).missing:
        yield None
        return
    with Store.open(store, create=create, read_only=read_only) as opened:
        yield opened


@contextmanager
def open_source(store: str | None, server: str | None) -> "Iterator[Store | Client | None]":
    """The store, for reading, or the server that is asked instead; None where there is no store yet.

    Raises:
        UsageError: both are given.
    """
    if server is None:
        with open_store(store) as opened:
            yield opened
        return
    with open_server(server, store) as client:
        yield client


@contextmanager
def open_server(server: str, store: str | None) -> "Iterator[Client]":
    """A server.

    Raises:
        UsageError: a store is given too.
    """
    from ..networks.errors import UsageError

    if store is not None:
        raise UsageError("--server and --store", hint="the server has a store of its own; give one of the two")
    from .client import Client

    with Client(server) as client:
        yield client


def require_source(opened: "Store | Client | None") -> "Store | Client":
    """The store or server; the errors of `require_store`."""
    return require_store(None) if opened is None else opened


def require_store(opened: "Store | None") -> "Store":
    """The store.

    Raises:
        NotCoveredError: there is none yet.
    """
    from ..networks.errors import NotCoveredError

    if opened is None:
        raise NotCoveredError("there is no store yet", (), hint="profile a device first: lutra profile mobilenet_v2")
    return opened


def record_of(store: "Store | Client", device: str, precision: str | None) -> "DeviceRecord":
    """The device that was used last of those with that name, and with that precision if one is given.

    Raises:
        UnknownNameError: no device of that name.
        UsageError: none with that precision.
    """
    from ..networks.errors import UsageError

    record = store.device(device)
    for candidate in (record, *store.devices()):
        if candidate.name == record.name and precision in (None, candidate.fingerprint.precision):
            return candidate
    raise UsageError(f"no table of {device} in {precision!r}", hint="lutra table list shows what there is")


def examine_store(location: "Location") -> "Finding":
    """Whether rows can be read from the store and written to it. Looks only: makes and changes nothing."""
    from ..luts import Store
    from ..luts.location import check_file
    from ..networks.errors import LutraError
    from ..profiler import Finding

    if location.missing:
        return _examine_place(location)
    try:
        with Store.open(location.url.render_as_string(hide_password=False), create=False, read_only=True) as opened:
            devices = len(opened.devices())
        if location.path is not None:
            check_file(location.path, create=False, read_only=False)
    except LutraError as error:
        return Finding("store", "bad", error.message, error.hint or "")
    return Finding("store", "ok", f"tables of {devices} device{'s' * (devices != 1)}")


def _examine_place(location: "Location") -> "Finding":
    """Whether a store that does not exist yet could be made."""
    from ..profiler import Finding

    assert location.path is not None  # a server is never missing
    folder = next(parent for parent in location.path.parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Finding("store", "ok", "none yet; the first profile makes it")
    cure = "point LUTRA_STORE at a file in a folder that you can write to"
    return Finding("store", "bad", f"it cannot be made: {folder} is not a folder that you can write to", cure)
