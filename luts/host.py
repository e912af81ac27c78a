"""The identity of the machine this process runs on, as a `Fingerprint`. Only looks; measures nothing."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import psutil

from ..networks.errors import UsageError
from .fingerprint import Fingerprint
from .residency import CACHE_KEY

CACHE_MODES = ("warm", "cold-weights", "cold-all")
"""What a kernel finds in the caches when it starts: everything; its activations but not its weights; nothing."""

DEFAULT_CACHE = "cold-weights"

KERNEL_CODE_VERSION = 3
"""Raised whenever a change to the measuring protocol or to our own kernels makes older rows incomparable."""

_SHIFTS = {"K": 0, "M": 10}  # the units of a cache's size, in KiB
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_FREQUENCY = Path("/sys/devices/system/cpu")
_ISA_THAT_MATTERS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "fphp", "i8mm", "bf16", "sve", "sve2"),
)
_RUNTIME_PACKAGES = {  # runtimes whose version is that of an installed package
    "onednn": "onednn-cpu-gomp",
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "torch-compile": "torch",
    "xnnpack": "executorch",
}


def default_runtime() -> str:
    """The runtime that "host" means when none is asked for: ONNX Runtime where it is installed, else our own."""
    return "onnxruntime" if runtime_version("onnxruntime") else "native"


def runtime_version(runtime: str) -> str:
    """Version of an installed runtime, "" if it is not installed; our own has the version of its code."""
    package = _RUNTIME_PACKAGES.get(runtime)
    if package is None:
        return str(KERNEL_CODE_VERSION)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def host_fingerprint(
    runtime: str | None = None,
    *,
    threads: int = 1,
    precision: str = "float32",
    cache: str = DEFAULT_CACHE,
    version: str | None = None,
) -> Fingerprint:
    """Identity of this machine under a runtime.

    Args:
        runtime: its name; None takes `default_runtime`.
        threads: how many threads the runtime uses.
        precision: element type the kernels compute in.
        cache: what is in the caches when a kernel starts (`CACHE_MODES`).
        version: the runtime's version where it is not that of a known package.

    Raises:
        UsageError: more threads than this machine has, or fewer than one; an unknown cache mode.
    """
    if cache not in CACHE_MODES:
        raise UsageError(f"cache mode is {cache!r}", hint=f"use one of {', '.join(CACHE_MODES)}")
    settings: dict[str, str | int] = {"precision": precision, "threads": threads}
    if cache != DEFAULT_CACHE:  # absent otherwise, so that tables from before there were modes stay what they are
        settings["cache"] = cache
    runtime = runtime or default_runtime()
    if threads < 1 or threads > logical_cores():
        raise UsageError(
            f"{threads} threads on a machine with {logical_cores()} logical cores",
            hint=f"give --threads between 1 and {logical_cores()}",
        )
    if runtime == "null":  # the same on every machine, so that its tables can be compared anywhere
        return Fingerprint.of(
            "null",
            hardware={"model": "null"},
            runtime={"name": "null", "version": str(KERNEL_CODE_VERSION)},
            settings=settings,
            code={"protocol": KERNEL_CODE_VERSION},
        )
    return Fingerprint.of(
        "real",
        hardware=dict(_hardware()),
        runtime={"name": runtime, "version": version or runtime_version(runtime)},
        settings={**settings, **frequency_settings()},
        code={"protocol": KERNEL_CODE_VERSION},
        notes={"kernel": platform.release(), "system": platform.system()},
    )


def frequency_settings(folder: Path = _FREQUENCY) -> dict[str, str]:
    """What decides the processor's speed and can be changed at any time, as far as Linux tells: nothing in most
    virtual machines. ``governor`` is that of the first core; ``turbo`` is "on" or "off".
    """
    governor = _read(folder / "cpu0/cpufreq/scaling_governor")
    boost = _read(folder / "cpufreq/boost") or {"0": "1", "1": "0"}.get(_read(folder / "intel_pstate/no_turbo"), "")
    found = {"governor": governor, "turbo": {"0": "off", "1": "on"}.get(boost, "")}
    return {name: value for name, value in found.items() if value}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def logical_cores() -> int:
    """Logical cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _hardware() -> tuple[tuple[str, str | int | tuple[str, ...]], ...]:
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        ("model", info.get("model name") or info.get("Hardware") or platform.processor() or "unknown"),
        ("family", " ".join(info.get(k, "") for k in ("vendor_id", "cpu family", "model", "stepping")).strip()),
        ("architecture", platform.machine()),
        ("isa", tuple(sorted(flags.intersection(_ISA_THAT_MATTERS)))),
        ("physical_cores", psutil.cpu_count(logical=False) or logical_cores()),
        ("logical_cores", os.cpu_count() or 1),
        ("memory_gib", 1 << max(0, round(memory_gib - 1)).bit_length()),
        *_last_level_cache(),
    )


def _last_level_cache(folder: Path = _CACHES) -> Iterator[tuple[str, int]]:
    """The size of the largest cache that the first core sees, where Linux tells it."""
    sizes = (path.read_text().strip() for path in folder.glob("index*/size"))
    kib = [int(size[:-1]) << _SHIFTS[size[-1]] for size in sizes if size[:-1].isdecimal() and size[-1] in _SHIFTS]
    if kib:
        yield CACHE_KEY, max(kib)


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of Linux's ``/proc/cpuinfo``; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    entries = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in entries}
