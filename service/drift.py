"""Measuring a sample of a table again from the command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..luts import DeviceRecord
    from ..luts.diff import TableDiff
    from ..profiler.devices import Device


def measure_again(store: str | None, device: str, precision: str | None, count: int, seed: int) -> "TableDiff":
    """Measure ``count`` random kernels of a device's table again, with a progress bar; the table is not changed.

    Raises:
        LutraError: the device is not here, is another by now, or cannot be measured.
    """
    import numpy as np

    from ..profiler.recheck import remeasure
    from .campaigns import cancel_on_interrupt
    from .render import campaign_progress
    from .stores import open_store, record_of, require_store

    with open_store(store) as opened:
        record = record_of(require_store(opened), device, precision)
        target = _present(record)
        with cancel_on_interrupt() as cancel, campaign_progress() as progress:
            return remeasure(
                require_store(opened),
                record,
                target,
                count,
                np.random.default_rng(seed),
                progress=progress,
                cancel=cancel,
            )


def _present(record: "DeviceRecord") -> "Device":
    """The device of this machine with the settings of a table."""
    from ..networks.errors import NotSupportedError
    from ..profiler import resolve_device
    from ..profiler.devices import Device
    from ..profiler.runtimes import runtime_class

    known = record.fingerprint
    if known.kind not in ("real", "null"):
        raise NotSupportedError(f"the device {record.name} is {known.kind}: it cannot be measured", hint="name another")
    settings = Device(record.name, known)
    return resolve_device(
        "null" if known.kind == "null" else runtime_class(settings.runtime).device,
        runtime=settings.runtime,
        threads=settings.threads,
        precision=settings.precision,
        cache=settings.cache,
    )
