"""The state of the machine: what `lutra doctor` shows, and what is stored beside every row."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from ..luts.host import logical_cores
from ._native import ComputeReference, measure_interleaved, summarize
from .environment import Finding, cpu_pressure_s, read_environment
from .priority import may_be_realtime

STEAL_LIMIT = 0.02
"""Share of the processor that a host may take from a virtual machine before rows are flagged."""

OTHERS_LIMIT = 0.25
"""Share of all cores that other programs may use before rows are flagged."""

PRESSURE_LIMIT = 0.5
"""Share of the time in which some task waited for a core before rows are flagged."""

DRIFT_LIMIT = 0.10
"""Spread of the compute reference's time (middle 80 % over the median) before rows are flagged."""

_DRIFT_ROUNDS = 40


@dataclass(frozen=True)
class MachineState:
    """Counters of the whole machine and of one process at one moment; two of them say what happened between."""

    at_s: float
    busy_s: float
    steal_s: float
    process_s: float
    load1: float
    pressure_s: float | None = None

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
        return cls(time.monotonic(), busy, steal, own, os.getloadavg()[0], cpu_pressure_s())


def conditions_between(before: MachineState, after: MachineState) -> dict[str, Any]:
    """What the machine went through between two states, for the record of a row.

    ``others_share`` is the share of all cores that other processes used, ``steal_share`` the share that the host
    took away; both from the kernel's counters, which tick every 10 ms. ``pressure_share`` is the share of the time in
    which some task waited for a core, where the kernel tells.
    """
    cores = logical_cores()
    elapsed_s = max(after.at_s - before.at_s, 1e-9)
    span = elapsed_s * cores
    others = (after.busy_s - before.busy_s) - (after.process_s - before.process_s)
    seen = {
        "load1": round(after.load1, 2),
        "others_share": round(min(max(others / span, 0.0), 1.0), 4),
        "steal_share": round(min(max((after.steal_s - before.steal_s) / span, 0.0), 1.0), 4),
        "seconds": round(after.at_s - before.at_s, 3),
        "cores": cores,
    }
    if before.pressure_s is not None and after.pressure_s is not None:
        seen["pressure_share"] = round(min((after.pressure_s - before.pressure_s) / elapsed_s, 1.0), 4)
    return seen


def worst_conditions(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record for rows that were measured in several stretches: the worst shares, and all the time together."""
    if not parts:
        return {}
    shares = ("load1", "others_share", "steal_share", "pressure_share")
    worst = {name: max(part[name] for part in parts) for name in shares if name in parts[0]}
    return dict(parts[-1]) | worst | {"seconds": round(sum(part["seconds"] for part in parts), 3)}


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
        *_pressure(seen.get("pressure_share")),
        _drift(),
        _memory(),
        _priority(),
        *read_environment().findings(),
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


def _pressure(share: float | None) -> list[Finding]:
    if share is None:
        return []
    text = f"some task waited for a core {share:.0%} of the time"
    if share <= PRESSURE_LIMIT:
        return [Finding("pressure", "ok", text)]
    return [Finding("pressure", "warn", text, "close programs, or wait: rows taken now are flagged 'load'")]


def _drift() -> Finding:
    """Whether a fixed piece of arithmetic takes the same time again and again: a third of a second of it."""
    measured = measure_interleaved(
        [ComputeReference()], seed=0, min_rounds=_DRIFT_ROUNDS, max_rounds=_DRIFT_ROUNDS, metric="cpu"
    )
    seen = summarize(np.asarray(measured.entries[0].samples.cpu_ns, np.float64))
    spread = (seen.p90 - seen.p10) / seen.median
    text = f"the speed of the core varies by {spread:.0%}"
    if spread <= DRIFT_LIMIT:
        return Finding("speed", "ok", text)
    return Finding(
        "speed", "warn", text, "fix the clock, or use a host whose cores are not shared; rows are normalised"
    )


def _priority() -> Finding:
    if may_be_realtime():
        return Finding("priority", "ok", "real-time where the user may (CAP_SYS_NICE)")
    return Finding("priority", "ok", "ordinary; the system keeps real-time threads out, or has one core only")


def _memory() -> Finding:
    free_gib = psutil.virtual_memory().available / 2**30
    text = f"{free_gib:.1f} GiB free"
    if free_gib >= 2:
        return Finding("memory", "ok", text)
    return Finding("memory", "warn", text, "close programs: copies of weights need 1-2 GiB")
