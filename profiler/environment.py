"""Settings of the system and of the environment that decide how steady measurements are.

Everything is read below a root folder, so that tests can set up a system of their own. What a system does not tell is
an empty text or None: unknown, not wrong.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/")

_GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_LIMITS = (
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
)
_CLOCK_SOURCE = "sys/devices/system/clocksource/clocksource0/current_clocksource"
_HUGE_PAGES = "sys/kernel/mm/transparent_hugepage/enabled"
_AUTOGROUP = "proc/sys/kernel/sched_autogroup_enabled"
_THROTTLING = "proc/sys/kernel/sched_rt_runtime_us"
_PRESSURE = "proc/pressure/cpu"
_QUOTA = "sys/fs/cgroup/cpu.max"

_ALLOCATOR_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_ARENA_MAX")
_SPIN_VARIABLES = {
    "OMP_WAIT_POLICY": ("active",),
    "GOMP_SPINCOUNT": ("infinite", "infinity"),
    "KMP_BLOCKTIME": ("infinite",),
}
_STEADY_CLOCKS = ("tsc", "arch_sys_counter")


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
class Environment:
    """What is set, as far as the system tells.

    Attributes:
        governor: of the first core's frequency; "" in most virtual machines.
        limits_mhz: lowest and highest frequency that the first core may take; empty in most virtual machines.
        clock_source: of the kernel's time.
        huge_pages: the chosen setting of transparent huge pages.
        autogroup: whether nice levels count only within one terminal session; None where unknown.
        quota_cores: processor time that the container may use, in cores; None for no limit.
        throttled: whether the kernel keeps some time from real-time threads; None where unknown.
        allocator: variables that pin the C library's allocator.
        spinning: variables that let idle threads of a pool spin.
        preload: libraries that replace parts of every program, such as another allocator.
    """

    governor: str
    limits_mhz: tuple[int, ...]
    clock_source: str
    huge_pages: str
    autogroup: bool | None
    quota_cores: float | None
    throttled: bool | None
    allocator: dict[str, str]
    spinning: dict[str, str]
    preload: str

    def conditions(self) -> dict[str, Any]:
        """For the record of a row: what is known and not empty."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None, {}, ())}

    def findings(self) -> Iterator[Finding]:
        """What of it disturbs measurements, and the cure."""
        yield self._governor()
        yield self._clock_source()
        yield self._quota()
        yield self._huge_pages()
        yield self._autogroup()
        yield self._allocator()
        yield self._spinning()

    def _governor(self) -> Finding:
        if not self.governor:
            return Finding("frequency", "ok", "the system does not tell (usual in virtual machines)")
        if self.governor == "performance":
            return Finding("frequency", "ok", "governor 'performance'")
        return Finding("frequency", "warn", f"governor {self.governor!r}", "sudo cpupower frequency-set -g performance")

    def _clock_source(self) -> Finding:
        if not self.clock_source or self.clock_source in _STEADY_CLOCKS:
            return Finding("clock", "ok", self.clock_source or "the system does not tell")
        cure = "boot with clocksource=tsc: reading this clock costs a system call, so short samples get longer"
        severity = "ok" if self.clock_source == "kvm-clock" else "warn"
        return Finding("clock", severity, self.clock_source, cure if severity == "warn" else "")

    def _quota(self) -> Finding:
        if self.quota_cores is None:
            return Finding("processor quota", "ok", "none")
        cores = os.cpu_count() or 1
        if self.quota_cores >= cores:
            return Finding("processor quota", "ok", f"{self.quota_cores:g} cores")
        cure = "give the container whole cores (cpuset) instead of a quota: throttling stops it in mid-sample"
        return Finding("processor quota", "warn", f"{self.quota_cores:g} of {cores} cores", cure)

    def _huge_pages(self) -> Finding:
        if self.huge_pages == "always":
            cure = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled (only if rows are bimodal)"
            return Finding("huge pages", "ok", "always; may make the first runs uneven", cure)
        return Finding("huge pages", "ok", self.huge_pages or "the system does not tell")

    def _autogroup(self) -> Finding:
        if not self.autogroup:
            return Finding("autogroup", "ok", "off" if self.autogroup is False else "the system does not tell")
        cure = "do not rely on nice: it counts within one session only (sysctl kernel.sched_autogroup_enabled=0)"
        return Finding("autogroup", "ok", "on", cure)

    def _allocator(self) -> Finding:
        if self.preload:
            return Finding("allocator", "warn", f"LD_PRELOAD={self.preload}", "unset LD_PRELOAD, unless it is meant")
        if not self.allocator:
            return Finding("allocator", "ok", "as the C library has it")
        return Finding("allocator", "ok", " ".join(f"{name}={value}" for name, value in self.allocator.items()))

    def _spinning(self) -> Finding:
        if not self.spinning:
            return Finding("thread pools", "ok", "idle threads sleep")
        text = " ".join(f"{name}={value}" for name, value in self.spinning.items())
        return Finding(
            "thread pools", "warn", f"{text}: idle threads keep cores busy", f"unset {' '.join(self.spinning)}"
        )


def read_environment(root: Path = ROOT, variables: Mapping[str, str] | None = None) -> Environment:
    """Look at the system below ``root``, and at the environment variables (this process's own if omitted)."""
    variables = os.environ if variables is None else variables
    autogroup, throttling = (_read(root / path) for path in (_AUTOGROUP, _THROTTLING))
    spinning = {
        name: variables[name] for name, values in _SPIN_VARIABLES.items() if variables.get(name, "").lower() in values
    }
    return Environment(
        governor=_read(root / _GOVERNOR),
        limits_mhz=tuple(int(khz) // 1000 for path in _LIMITS if (khz := _read(root / path)).isdecimal()),
        clock_source=_read(root / _CLOCK_SOURCE),
        huge_pages=_read(root / _HUGE_PAGES).partition("[")[2].partition("]")[0],
        autogroup=autogroup == "1" if autogroup else None,
        quota_cores=_quota_cores(_read(root / _QUOTA)),
        throttled=throttling != "-1" if throttling else None,
        allocator={name: variables[name] for name in _ALLOCATOR_VARIABLES if name in variables},
        spinning=spinning,
        preload=variables.get("LD_PRELOAD", ""),
    )


def cpu_pressure_s(root: Path = ROOT) -> float | None:
    """Seconds since boot in which some task waited for a core (pressure stall information); None where unknown."""
    for line in _read(root / _PRESSURE).splitlines():
        kind, *fields = line.split()
        values = dict(field.partition("=")[::2] for field in fields)
        if kind == "some" and values.get("total", "").isdecimal():
            return int(values["total"]) / 1e6
    return None


def _quota_cores(text: str) -> float | None:
    quota, _, period = text.partition(" ")
    if not quota.isdecimal() or not period.strip().isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
