"""The devices that the store knows: what they are, how much was measured, who is measuring now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..page import Links, Page
from .table import describe

if TYPE_CHECKING:
    from ....luts import Store


def devices_page(store: "Store", links: Links, *, health: Mapping[str, Mapping[str, Any]] | None = None) -> Page:
    """All devices, the one used last first.

    Args:
        store: where they are.
        links: where they lead.
        health: by digest, what is known besides of who holds a device and when it was last heard of.
    """
    found = [
        describe(summary.device)
        | {
            "counts": dict(summary.counts),
            "health": dict((health or {}).get(summary.device.digest, {})),
            "href": links.table(summary.device.digest),
        }
        for summary in store.summaries()
    ]
    return Page(template="devices.html", title="Devices", place="devices", data={"devices": found})


def device_page(store: "Store", device: str, links: Links) -> Page:
    """One device: its fingerprint, its table in a few numbers, and what leads on from there.

    Raises:
        UnknownNameError: no such device.
    """
    record = store.device(device)
    print_ = record.fingerprint
    sections = {name: dict(getattr(print_, name)) for name in ("hardware", "runtime", "settings", "code", "notes")}
    counts = next(s.counts for s in store.summaries() if s.device.digest == record.digest)
    return Page(
        template="device.html",
        title=record.name,
        place="devices",
        data={
            "device": describe(record),
            "fingerprint": {name: {k: _plain(v) for k, v in pairs.items()} for name, pairs in sections.items()},
            "counts": dict(counts),
            "table_href": links.table(record.digest),
            "measured_href": links.measured(record.digest),
        },
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
