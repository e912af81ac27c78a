"""Profiling: devices, runtimes, and resumable campaigns that fill a table of latencies."""

if __name__ != "lutra.profiler":
    raise ImportError("import lutra.profiler, not profiler")

from .campaign import run_campaign
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
    "devices",
    "examine_machine",
    "make_plan",
    "make_space_plan",
    "register_runtime",
    "replay",
    "resolve_device",
    "run_campaign",
    "runtimes",
]
