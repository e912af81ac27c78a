"""Profiling: devices, runtimes, and resumable campaigns that fill a table of latencies."""

if __name__ != "lutra.profiler":
    raise ImportError("import lutra.profiler, not profiler")

from importlib import import_module
from typing import TYPE_CHECKING

from .devices import Device, DeviceInfo, devices, resolve_device, runtimes
from .environment import Finding
from .events import CampaignEvent
from .machine import examine_machine
from .outcome import CampaignResult
from .plan import Plan, Subject, make_plan, make_space_plan
from .progress import Progress
from .replay import InPlace, replay
from .runtimes import Runtime, RuntimeInfo, register_runtime
from .settings import Settings
from .simulated import device_kind, is_simulated

if TYPE_CHECKING:
    from .campaign import run_campaign

__all__ = [
    "CampaignEvent",
    "CampaignResult",
    "Device",
    "DeviceInfo",
    "Finding",
    "InPlace",
    "Plan",
    "Progress",
    "Runtime",
    "RuntimeInfo",
    "Settings",
    "Subject",
    "device_kind",
    "devices",
    "examine_machine",
    "is_simulated",
    "make_plan",
    "make_space_plan",
    "register_runtime",
    "replay",
    "resolve_device",
    "run_campaign",
    "runtimes",
]

# Workers import this package each time one starts, and have no use for the store that campaigns stand on.
_IN_CAMPAIGN = frozenset({"run_campaign"})


def __getattr__(name: str) -> object:
    if name in _IN_CAMPAIGN:
        return getattr(import_module(".campaign", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
