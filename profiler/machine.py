"""The state of the machine: what `lutra doctor` shows, and what is stored beside every row."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..luts.host import logical_cores

STEAL_LIMIT = 0.02
"""Share of the processor that a host may take from a virtual machine before rows are flagged."""

OTHERS_LIMIT = 0.25
"""Share of all cores that other programs may use before rows are flagged."""

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Finding:
    """One thing looked at, whether it disturbs measurements, and the cure.

    Attributes:
        topic: what was looked at.
        severity: "ok", "warn" (numbers will be noisier) or "bad" (numbers will be wrong, or cannot be had).
        observation: what was seen.
        cure: what to do; "" where nothing need be done.
    """

    topic: str
    severity: str
    observation: str
    cure: str = ""


@dataclass(frozen=True)
class MachineState:
    """Counters of the whole machine and of one process at one moment; two of them say what happened between."""

    at_s: float
    busy_s: float
    steal_s: float
    process_s: float
    load1: float

    @classmethod
    def now(cls, pid: int | None = None) -> "MachineState":
        """The state now; ``pid`` is the process whose own time is not held against the others."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        own = 0.0
        for process in {pid or os.getpid(), os.getpid()}:
            try:
                cpu = psutil.Process(process).cpu_times()
            except psutil.NoSuchProcess:
                continue
            own += cpu.user + cpu.system
        steal = getattr(times, "steal", 0.0)
        busy = sum(times) - idle - steal - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return cls(time.monotonic(), busy, steal, own, os.getloadavg()[0])


def conditions_between(before: MachineState, after: MachineState) -> dict[str, Any]:
    """What the machine went through between two states, for the record of a row.

    ``others_share`` is the share of all cores that other processes used, ``steal_share`` the share that the host
    took away; both from the kernel's counters, which tick every 10 ms.
    """
    cores = logical_cores()
    span = max(after.at_s - before.at_s, 1e-9) * cores
    others = (after.busy_s - before.busy_s) - (after.process_s - before.process_s)
    return {
        "load1": round(after.load1, 2),
        "others_share": round(min(max(others / span, 0.0), 1.0), 4),
        "steal_share": round(min(max((after.steal_s - before.steal_s) / span, 0.0), 1.0), 4),
        "seconds": round(after.at_s - before.at_s, 3),
        "governor": governor(),
        "cores": cores,
    }


def worst_conditions(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record for rows that were measured in several stretches: the worst shares, and all the time together."""
    if not parts:
        return {}
    worst = {name: max(part[name] for part in parts) for name in ("load1", "others_share", "steal_share")}
    return dict(parts[-1]) | worst | {"seconds": round(sum(part["seconds"] for part in parts), 3)}


def governor() -> str:
    """The frequency governor, "" where the system does not tell (most virtual machines)."""
    return _read(_CPUFREQ)


def examine_machine(watch_s: float = 0.5) -> list[Finding]:
    """Look at everything that is known to spoil measurements.

    Args:
        watch_s: how long to watch the processor for other work.
    """
    before = MachineState.now()
    time.sleep(watch_s)
    seen = conditions_between(before, MachineState.now())
    return [
        _others(seen["others_share"]),
        _steal(seen["steal_share"]),
        _governor(),
        _quota(),
        _memory(),
        _huge_pages(),
    ]


def _others(share: float) -> Finding:
    text = f"other programs use {share:.0%} of {logical_cores()} cores"
    if share <= OTHERS_LIMIT / 2:
        return Finding("other work", "ok", text)
    severity = "bad" if share > OTHERS_LIMIT else "warn"
    return Finding("other work", severity, text, "close them, or wait: rows taken now are flagged 'load'")


def _steal(share: float) -> Finding:
    text = f"the host takes {share:.1%} of the processor away"
    if share <= STEAL_LIMIT:
        return Finding("steal", "ok", text)
    return Finding("steal", "bad", text, "use a dedicated or quieter host")


def _governor() -> Finding:
    name = governor()
    if not name:
        return Finding("frequency", "ok", "the system does not tell (usual in virtual machines)")
    if name == "performance":
        return Finding("frequency", "ok", "governor 'performance'")
    return Finding("frequency", "warn", f"governor {name!r}", "sudo cpupower frequency-set -g performance")


def _quota() -> Finding:
    quota, _, period = _read(_CGROUP_QUOTA).partition(" ")
    if not quota or quota == "max":
        return Finding("processor quota", "ok", "none")
    cores = int(quota) / int(period)
    if cores >= logical_cores():
        return Finding("processor quota", "ok", f"{cores:g} cores")
    cure = "give the container whole cores (cpuset) instead of a quota: throttling stops it in mid-sample"
    return Finding("processor quota", "warn", f"{cores:g} of {logical_cores()} cores", cure)


def _memory() -> Finding:
    free_gib = psutil.virtual_memory().available / 2**30
    text = f"{free_gib:.1f} GiB free"
    if free_gib >= 2:
        return Finding("memory", "ok", text)
    return Finding("memory", "warn", text, "close programs: copies of weights need 1-2 GiB")


def _huge_pages() -> Finding:
    setting = _read(_THP)
    chosen = setting.partition("[")[2].partition("]")[0]
    if chosen == "always":
        cure = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled (only if rows are bimodal)"
        return Finding("huge pages", "ok", "always; may make the first runs uneven", cure)
    return Finding("huge pages", "ok", chosen or "the system does not tell")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
