"""Which GPU there is, and what is missing to profile it. Looking starts the driver; importing this does not."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ...luts import Fingerprint
from ...luts.host import CACHE_MODES, DEFAULT_CACHE, KERNEL_CODE_VERSION
from ...luts.residency import CACHE_KEY
from ...networks.errors import UnsupportedDtypeError, UsageError
from .._native import gpu
from .libraries import FOLDER_VARIABLE, NEWEST, OLDEST, Library, find_libraries

EXTRA = "cuda"
"""The extra of Lutra's package that brings NVIDIA's libraries, for a driver that runs CUDA 13."""

_NEEDED = ("nvrtc", "cublaslt", "cudnn")

_NEEDS_ARCHITECTURE = {"tf32": 80, "bfloat16": 80, "int8": 75, "float8": 89}
"""Oldest architecture (90 for compute capability 9.0) whose tensor cores multiply in a precision."""


@dataclass(frozen=True)
class GpuReport:
    """What was found of the GPU that would be profiled: the first one that the driver shows.

    Attributes:
        device: what the driver says of it; None where there is none.
        driver: newest CUDA version that the driver runs, as "13.0"; "" where there is none.
        ahead: our kernels were compiled for it when Lutra was built, so that NVRTC is not needed.
        problems: what is in the way, each with what to install or do; empty where the GPU can be profiled.
        libraries: NVIDIA's libraries, for this driver.
    """

    device: dict[str, Any] | None
    driver: str
    problems: tuple[str, ...]
    libraries: dict[str, Library] = field(repr=False)
    ahead: bool = False

    @property
    def usable(self) -> bool:
        """Everything is there."""
        return not self.problems

    @property
    def name(self) -> str:
        """Of the GPU; "" where there is none."""
        return str(self.device["name"]) if self.device else ""


def gpu_report() -> GpuReport:
    """Look for a GPU and the libraries that it needs. Kept until the search path changes."""
    return _report(os.environ.get(FOLDER_VARIABLE, ""), os.environ.get("CUDA_VISIBLE_DEVICES"))


@lru_cache(maxsize=8)
def _report(folder: str, visible: str | None) -> GpuReport:
    del folder, visible  # they decide what is found
    found = find_libraries()
    try:
        driver = gpu.Driver(found["driver"].places)
        devices = driver.devices()
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        if text.startswith("cannot load"):
            text = "no NVIDIA driver (libcuda.so.1): install the driver of the GPU, if this machine has one"
        return GpuReport(None, "", (text,), found)
    version = f"{driver.cuda_version // 1000}.{driver.cuda_version % 1000 // 10}"
    major = driver.cuda_version // 1000
    if major < OLDEST:
        return GpuReport(devices[0], version, (f"the driver runs CUDA {version}; install one that runs 12.0",), found)
    newest, found = found, find_libraries(min(major, NEWEST))
    ahead = gpu.ahead_runs(int(devices[0]["architecture"]), driver.cuda_version)
    needed = [name for name in _NEEDED if not (ahead and name == "nvrtc")]
    problems = [_problem(found[name], newest[name], version) for name in needed if not found[name].found]
    return GpuReport(devices[0], version, tuple(problems), found, ahead)


def require_precision(report: GpuReport, precision: str) -> None:
    """Refuse a precision that the GPU has no units for.

    Raises:
        UnsupportedDtypeError: names those that it has among the ones that are not for every GPU.
    """
    assert report.device is not None
    own = int(report.device["architecture"])
    needed = _NEEDS_ARCHITECTURE.get(precision, 0)
    if own < needed:
        able = ["float32", "float16", *(name for name, least in _NEEDS_ARCHITECTURE.items() if least <= own)]
        raise UnsupportedDtypeError(
            f"{report.name} (sm_{own}) does not multiply in {precision}, which sm_{needed} and later do",
            hint=f"it does in {', '.join(able)}",
        )


def _problem(library: Library, newest: Library, version: str) -> str:
    """What is to be done about a library that is missing, or there for newer drivers only."""
    if not newest.found:
        return f"{library.name} is missing: pip install {library.package}"
    return (
        f"{library.name} is for CUDA {NEWEST}, but the driver runs {version}: install a newer driver, "
        f"or pip install {library.package}"
    )


def gpu_fingerprint(
    report: GpuReport, runtime: str, *, version: str, precision: str = "float32", cache: str = DEFAULT_CACHE
) -> Fingerprint:
    """Identity of a GPU under a runtime.

    Args:
        report: of a GPU that is there.
        runtime: its name.
        version: of what runs the kernels.
        precision: number format the kernels compute in, math mode included.
        cache: what is in the caches when a kernel starts (`CACHE_MODES`).

    Raises:
        UsageError: an unknown cache mode.
    """
    if cache not in CACHE_MODES:
        raise UsageError(f"cache mode is {cache!r}", hint=f"use one of {', '.join(CACHE_MODES)}")
    assert report.device is not None
    device, state = report.device, _state(report)
    settings: dict[str, str | int] = {"precision": precision, "threads": 1}
    if cache != DEFAULT_CACHE:
        settings["cache"] = cache
    if state.get("power_limit_w"):
        settings["power_limit_w"] = round(state["power_limit_w"])
    return Fingerprint.of(
        "real",
        hardware={
            "model": device["name"],
            "architecture": f"sm_{device['architecture']}",
            "multiprocessors": device["multiprocessors"],
            "memory_gib": round(device["memory_bytes"] / 2**30),
            CACHE_KEY: device["l2_bytes"] // 1024,
        },
        runtime={
            "name": runtime,
            "version": version,
            "driver": state.get("driver_version") or f"CUDA {report.driver}",
        },
        settings=settings,
        code={"protocol": KERNEL_CODE_VERSION},
        notes={"bus": device["pci_bus_id"]},
    )


def _state(report: GpuReport) -> dict[str, Any]:
    """What the management library says of the GPU; empty where that is missing."""
    assert report.device is not None
    try:
        return dict(gpu.Monitor(report.libraries["nvml"].places, report.device["pci_bus_id"]).state())
    except RuntimeError:
        return {}
