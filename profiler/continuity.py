"""That a table's rows are all of one machine: a device that changed since, or while it is measured, is refused."""

import os

from ..luts import Fingerprint, Store
from ..luts.host import frequency_settings
from ..networks.errors import FingerprintMismatchError
from .devices import Device


def require_same_machine(store: Store, device: Device) -> None:
    """Refuse a device that has another fingerprint than the table that it would be taken to go on with.

    That table is the one used last of the same name, runtime, threads, precision and cache mode. A device that has
    a table already goes on with its own.

    Raises:
        FingerprintMismatchError: lists what changed, as ``what: old -> new``.
    """
    records = store.devices()
    if any(record.fingerprint == device.fingerprint for record in records):
        return
    for record in records:
        if record.name == device.name and _use(record.fingerprint) == _use(device.fingerprint):
            raise FingerprintMismatchError(
                f"{device.name!r} has changed since its table of {record.used_at[:10]}",
                record.fingerprint.differences(device.fingerprint),
                hint="undo the change; or begin a new table beside the old one, which is kept: "
                "lutra profile --new-table ...",
            )


def _use(fingerprint: Fingerprint) -> tuple[object, ...]:
    """What a person chooses when profiling; all else is how the machine happens to be."""
    cache = dict(fingerprint.settings).get("cache")
    return fingerprint.kind, fingerprint.runtime_name, fingerprint.threads, fingerprint.precision, cache


class Watch:
    """What may not change while a campaign runs, as it was when it began: frequency settings, and the cores allowed.

    Args:
        device: what is profiled; of simulated ones and GPUs nothing is watched.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before = self._look()

    def require_unchanged(self) -> None:
        """Refuse to go on on another machine than the one of the rows so far.

        Raises:
            FingerprintMismatchError: lists what changed, as ``what: old -> new``.
        """
        now = self._look()
        changes = [
            f"{name}: {self._before.get(name, '(absent)')} -> {now.get(name, '(absent)')}"
            for name in dict.fromkeys((*self._before, *now))
            if self._before.get(name) != now.get(name)
        ]
        if changes:
            raise FingerprintMismatchError(
                "the machine changed while it was measured",
                changes,
                hint="undo the change, and give the same command again: rows from before it are kept",
            )

    def _look(self) -> dict[str, str]:
        if not self._device.on_host:
            return {}
        seen = {name: str(value) for name, value in frequency_settings().items()}
        if hasattr(os, "sched_getaffinity"):
            seen["cores"] = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        return seen
