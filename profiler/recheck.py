"""Measuring a few kernels of a table again, to see whether the table still holds."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np

from ..luts import DeviceRecord, RowNumbers, Store
from ..luts.diff import TableDiff, compare
from ..luts.residency import RESIDENT
from ..networks.errors import FingerprintMismatchError, NotCoveredError, NotSupportedError
from ..networks.lowering import Kernel
from .campaign import run_campaign
from .devices import Device
from .plan import Plan
from .progress import Progress
from .runtimes import runtime_class
from .session import CONSTANT, KERNEL
from .settings import Settings


def remeasure(
    store: Store,
    record: DeviceRecord,
    device: Device,
    count: int,
    rng: np.random.Generator,
    *,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Event | None = None,
) -> TableDiff:
    """Measure a random sample of a table's kernels again and compare. The store is not changed.

    The new rows are brought to the nominal speed that the table's first campaign found, so that a machine that merely
    is slower at the moment does not count as drift.

    Args:
        store: has the table.
        record: whose table it is.
        device: the same device, to be measured.
        count: how many kernels; all of them if there are fewer.
        rng: chooses them.
        settings: how carefully to measure.
        progress: as in `run_campaign`.
        cancel: as in `run_campaign`; what was measured until then is compared.

    Returns:
        The table (left) beside the new rows (right).

    Raises:
        FingerprintMismatchError: the device is not the table's any more; says what changed.
        NotSupportedError: the runtime times kernels in the order of their network only.
        NotCoveredError: the table has no kernels with a number.
        StoreCorruptError: a row is damaged.
    """
    if differences := record.fingerprint.differences(device.fingerprint):
        raise FingerprintMismatchError(
            f"the table of {record.name} cannot be measured again: the device changed",
            differences,
            hint="profile it as it is now: lutra profile --new-table ...",
        )
    if runtime_class(device.runtime).in_sequence:
        raise NotSupportedError(
            f"runtime {device.runtime!r} times kernels in the order of their network, not a sample of them",
            hint="measure networks again: lutra validate",
        )
    kernels = _sample(store, record, count, rng)
    with tempfile.TemporaryDirectory(prefix="lutra-") as folder, Store.open(Path(folder) / "again.db") as again:
        again.register_device(record.fingerprint, record.name)
        again.record_many(record, store.measurements(record, CONSTANT))
        plan = Plan(device, (), check=False, extra=kernels)
        run_campaign(plan, again, progress=progress, cancel=cancel, settings=settings)
        measured = list(_numbers(again, record, kernels))
    done = {row.subject_key for row in measured}
    return compare((row for row in _numbers(store, record, kernels) if row.subject_key in done), measured)


def _sample(store: Store, record: DeviceRecord, count: int, rng: np.random.Generator) -> dict[str, Kernel]:
    """Kernels of good rows, by key."""
    keys = sorted(store.keys(record, KERNEL, statuses=("ok",)))
    if not keys:
        raise NotCoveredError(f"the table of {record.name} has no kernels to measure", (), hint="lutra profile NETWORK")
    chosen = rng.choice(len(keys), size=min(count, len(keys)), replace=False)
    kernels = {}
    for index in sorted(chosen):
        row = store.get(record, KERNEL, keys[index])
        if row is not None:  # deleted meanwhile
            kernels[keys[index]] = Kernel.from_json(row.spec)
    return kernels


def _numbers(store: Store, record: DeviceRecord, kernels: dict[str, Kernel]) -> Iterator[RowNumbers]:
    for kind in (KERNEL, RESIDENT):
        yield from (row for row in store.numbers(record, kind) if row.subject_key in kernels)
