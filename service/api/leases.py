"""Leases that the server holds for programs elsewhere: a device is measured by one of them at a time."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from ...luts import DeviceRecord, Lease, Store
from ...networks.errors import PreconditionError, StoreError, StoreLockedError, UnknownNameError

LONGEST_S: Final = 3600.0


@dataclass
class _Held:
    lease: Lease
    digest: str
    seconds: float
    ends: float


@dataclass(frozen=True)
class Granted:
    """A lease as its holder knows it.

    Attributes:
        id: what renews it and gives it back; nobody else knows it.
        device: digest of the device.
        seconds: after so much silence it ends.
    """

    id: str
    device: str
    seconds: float


class RemoteLeases:
    """Leases held in the store by this process, each for as long as somebody elsewhere renews it.

    When the server dies, so do they, as those of any dead process.

    Args:
        store: whose devices.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._held: dict[str, _Held] = {}

    def take(self, device: DeviceRecord, seconds: float) -> Granted:
        """Take a device.

        Raises:
            StoreLockedError: another process has it; says which.
        """
        self.expire()
        lease = self._store.lease(device)
        lease.__enter__()
        granted = Granted(secrets.token_urlsafe(16), device.digest, seconds)
        with self._lock:
            self._held[granted.id] = _Held(lease, device.digest, seconds, time.monotonic() + seconds)
        return granted

    def keep(self, identity: str, name: str, seconds: float) -> None:
        """Hold the device used last of a name for an agent, or go on holding it, as far as it is known and free.

        Args:
            identity: of the agent's claim.
            name: of the device.
            seconds: it ends after so much silence.
        """
        with suppress(UnknownNameError, StoreLockedError):
            device = self._store.device(name)
            with self._lock:
                held = self._held.get(identity)
                if held is not None and held.digest == device.digest:
                    held.ends = time.monotonic() + seconds
                    return
            self.release(identity)
            lease = self._store.lease(device)
            lease.__enter__()
            with self._lock:
                self._held[identity] = _Held(lease, device.digest, seconds, time.monotonic() + seconds)

    def renew(self, identity: str) -> Granted:
        """Prolong a lease.

        Raises:
            PreconditionError: it has ended.
        """
        self.expire()
        with self._lock:
            held = self._held.get(identity)
            if held is not None:
                held.ends = time.monotonic() + held.seconds
        if held is None:
            raise PreconditionError("the lease has ended", hint="take the device again; another may have it now")
        held.lease.require()
        return Granted(identity, held.digest, held.seconds)

    def release(self, identity: str) -> None:
        """Give a device back; a lease that has ended is no error."""
        with self._lock:
            held = self._held.pop(identity, None)
        if held is not None:
            held.lease.__exit__(None, None, None)

    def expire(self) -> None:
        """Give back what nobody has renewed in time."""
        now = time.monotonic()
        with self._lock:
            silent = [identity for identity, held in self._held.items() if held.ends < now]
        for identity in silent:
            self.release(identity)

    def close(self) -> None:
        """Give everything back."""
        for identity in list(self._held):
            with suppress(StoreError):
                self.release(identity)
