"""One process profiles one device at a time: a row in the store says who, and a heartbeat says still."""

import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psutil
from sqlalchemy import ColumnElement, RowMapping, delete, select, update

from ..networks.errors import StoreError, StoreLockedError
from . import schema
from .database import Database
from .dialects import insert_into
from .measurement import utc_now

logger = logging.getLogger(__name__)

STALE_AFTER_S: Final = 60.0
_BEATS: Final = 4  # heartbeats within the time after which a lease counts as abandoned


@dataclass(frozen=True)
class Holder:
    """A process that has something to itself, and when it was last heard of.

    Attributes:
        host: the name of its machine.
        pid: its number there; None where only its heartbeat says whether it lives.
        heartbeat_ms: when it was last heard of, in ms since the epoch.
    """

    host: str
    pid: int | None
    heartbeat_ms: int

    @classmethod
    def here(cls) -> Self:
        """This process, now."""
        return cls(socket.gethostname(), os.getpid(), now_ms())

    @property
    def silent_s(self) -> float:
        """Seconds since it was last heard of."""
        return max(0, now_ms() - self.heartbeat_ms) / 1000

    def is_gone(self, stale_after_s: float) -> bool:
        """Whether it is dead (seen on the same host), or was silent for longer than ``stale_after_s``."""
        if self.pid is not None and self.host == socket.gethostname() and not _alive(self.pid):
            return True
        return self.silent_s > stale_after_s


def now_ms() -> int:
    """The time, in ms since the epoch."""
    return time.time_ns() // 1_000_000


class Lease:
    """The right to profile a device, held while the ``with`` block runs.

    A lease is abandoned, and the next process may take it, when its process is dead (seen on the same host)
    or its heartbeat is older than ``stale_after_s``. A background thread beats a few times within that span.

    Args:
        database: where the row is.
        device_id: the device's number in the store.
        device: names the device in messages.
        stale_after_s: age of a heartbeat, in seconds, after which its lease is abandoned.
    """

    def __init__(self, database: Database, device_id: int, device: str, stale_after_s: float) -> None:
        self._database = database
        self._device_id = device_id
        self._device = device
        self._stale_after_s = stale_after_s
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat_until_stopped, name="lutra-lease", daemon=True)

    def __enter__(self) -> Self:
        self._acquire()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            with self._database.write() as connection:
                connection.execute(delete(schema.lease).where(*self._mine()))
        except StoreError as fault:
            # The row is abandoned with this process; the block's own outcome matters more.
            logger.warning("the lease on %s was not given back: %s", self._device, fault)

    def require(self) -> None:
        """Check that the lease is still this process's (it is lost when the process was stopped for long).

        Raises:
            StoreLockedError: another process took it.
        """
        if self._lost:
            raise StoreLockedError(
                f"the lease on {self._device} was lost: this process was silent for over {self._stale_after_s:g} s",
                hint="start the campaign again; committed rows are kept",
            )

    def beat(self) -> None:
        """Write a heartbeat now."""
        with self._database.write() as connection:
            beat = update(schema.lease).where(*self._mine()).values(heartbeat_ms=now_ms())
            if connection.execute(beat).rowcount == 0:
                self._lost = True

    def _acquire(self) -> None:
        with self._database.write() as connection:
            found = select(schema.lease).where(schema.lease.c.device_id == self._device_id)
            holder = connection.execute(found).mappings().one_or_none()
            if holder is not None:
                if not _holder(holder).is_gone(self._stale_after_s):
                    raise self._held_by(holder)
                logger.warning("taking over the abandoned lease of process %s on %s", holder["pid"], self._device)
                connection.execute(delete(schema.lease).where(schema.lease.c.token == holder["token"]))
            here = Holder.here()
            row = {
                "device_id": self._device_id,
                "token": self._token,
                "host": here.host,
                "pid": here.pid,
                "acquired_at": utc_now(),
                "heartbeat_ms": here.heartbeat_ms,
            }
            if connection.execute(insert_into(connection, schema.lease, row, ("device_id",)), [row]).rowcount == 0:
                raise self._held_by(connection.execute(found).mappings().one())

    def _held_by(self, holder: RowMapping) -> StoreLockedError:
        return StoreLockedError(
            f"{self._device} is being profiled by process {holder['pid']} on {holder['host']} "
            f"since {holder['acquired_at']} (last heard of {_holder(holder).silent_s:.0f} s ago)",
            hint="wait until it is done, as lutra profile --wait does, or stop that process",
        )

    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return (schema.lease.c.device_id == self._device_id, schema.lease.c.token == self._token)

    def _beat_until_stopped(self) -> None:
        while not self._lost and not self._stop.wait(self._stale_after_s / _BEATS):
            try:
                self.beat()
            except StoreError as fault:  # a full disk or a busy store now may pass by the next beat
                logger.warning("no heartbeat for the lease on %s: %s", self._device, fault)


def leased_devices(database: Database, *, stale_after_s: float = STALE_AFTER_S) -> set[str]:
    """The names of devices that some process has to itself now."""
    query = select(schema.device.c.name, schema.lease).join(
        schema.device, schema.device.c.id == schema.lease.c.device_id
    )
    with database.read() as connection:
        found = connection.execute(query).mappings().all()
    return {row["name"] for row in found if not _holder(row).is_gone(stale_after_s)}


def _holder(row: RowMapping) -> Holder:
    return Holder(row["host"], row["pid"], int(row["heartbeat_ms"]))


def _alive(pid: int) -> bool:
    """Whether a process of this machine lives; one that has ended, and that nobody has waited for, does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, OverflowError):
        return True  # it is there; the heartbeat decides
