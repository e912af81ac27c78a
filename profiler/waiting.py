"""Waiting: for another process to give a device back, and for other programs to leave the machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from ..luts import DeviceRecord, Store
from ..luts.store import Lease
from ..networks.errors import StoreLockedError
from .devices import Device
from .machine import OTHERS_LIMIT, MachineState, conditions_between

_LOOK_S = 0.2  # the kernel's counters tick every 10 ms
_ASK_S = 0.5  # each time the store is asked, it is locked for a moment


@contextmanager
def leased(
    store: Store, device: DeviceRecord, wait_s: float, cancel: Event, tell: Callable[[str], None]
) -> Iterator[Lease | None]:
    """The right to profile a device while the block runs.

    Args:
        store: where the device is.
        device: which.
        wait_s: how long to wait for a process that has it.
        cancel: set it to stop waiting.
        tell: gets who has the device, again and again while it is waited for.

    Yields:
        The lease; None if the wait was cancelled.

    Raises:
        StoreLockedError: another process has the device, and had it for all of ``wait_s``; says which.
    """
    deadline_s = time.monotonic() + wait_s
    with ExitStack() as held:
        lease = None
        while lease is None and not cancel.is_set():
            try:
                lease = held.enter_context(store.lease(device))
            except StoreLockedError as error:
                if time.monotonic() >= deadline_s:
                    raise
                tell(error.message)
                cancel.wait(_ASK_S)
        yield lease


class Patience:
    """Waits for other programs to leave the machine, as long as it lasts.

    Args:
        device: what is profiled; simulated ones and GPUs do not care who else is there.
        patience_s: the longest wait, all waits together.
        cancel: set it to stop waiting.
        tell: gets what is waited for.

    Attributes:
        waited_s: seconds waited so far.
    """

    def __init__(self, device: Device, patience_s: float, cancel: Event, tell: Callable[[str], None]) -> None:
        self._left_s = patience_s if device.on_host else 0.0
        self._cancel, self._tell = cancel, tell
        self.waited_s = 0.0

    def wait(self, pid: int) -> None:
        """Wait until the machine is quiet but for this process and ``pid``, or patience is at its end."""
        while self._left_s > 0 and not self._cancel.is_set():
            before = MachineState.now(pid)
            self._cancel.wait(_LOOK_S)
            self.waited_s += _LOOK_S
            share = conditions_between(before, MachineState.now(pid))["others_share"]
            if share <= OTHERS_LIMIT:
                return
            self._left_s -= _LOOK_S
            self._tell(f"other programs use {share:.0%} of the processor")
