"""Constants of the model of GPUs: one versioned JSON file, per class of kernels and unit (plain lanes, tensor cores).

The constants that ship were fitted by ``python -m benchmarks.gpu fit`` on measurements of other people;
`docs/simulated-devices.md` says on which and how.
"""

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from ...networks.errors import FormatVersionError, UsageError
from .device import DTYPES, GpuDevice

VERSION: Final = 1
SHIPPED: Final = Path(__file__).parent / "constants.json"

Launch = Literal["graph", "eager"]
"""Whether kernels follow each other in a CUDA graph, or a host launches one and waits for it."""

Unit = Literal["simt", "tensor"]

_BY_UNIT: Final = ("gemm", "linear", "conv")
PARTS: Final = (
    *(f"{name}.{unit}" for name in _BY_UNIT for unit in ("simt", "tensor")),
    "elementwise",
    "pooling",
    "movement",
    "softmax",
    "norm",
)
"""Names of what the file has constants of."""


def part_of(op_class: str, dtype: str, device: GpuDevice) -> str:
    """Which constants a class has on a device in a number format."""
    if op_class not in _BY_UNIT:
        return op_class
    return f"{op_class}.{'tensor' if dtype != 'fp32' and float(device.compute_capability) >= 7.0 else 'simt'}"


def read_constants(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The constants in a file; those that ship by default. The result is the caller's own.

    Raises:
        UsageError: the file cannot be read, or is none of constants; names what is missing.
        FormatVersionError: it was written by a newer version.
    """
    return deepcopy(_read(Path(path) if path is not None else SHIPPED))


@cache
def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} holds no constants of simulated GPUs: {error}", hint="give a JSON file") from None
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise UsageError(f"{path} holds no constants of simulated GPUs", hint="give a JSON file with a version")
    if content["version"] > VERSION:
        raise FormatVersionError(str(path), content["version"], VERSION)
    generations = content.get("generations")
    if not isinstance(generations, list) or not generations:
        raise UsageError(f"{path} has constants of no generation", hint="fit constants of every class")
    for generation in generations:
        if missing := [part for part in PARTS if part not in generation.get("parts", {})]:
            raise UsageError(f"{path} lacks {', '.join(missing)}", hint="fit constants of every class")
    return content


def generation_of(constants: Mapping[str, Any], device: GpuDevice) -> dict[str, Any]:
    """The constants of the newest generation that is no newer than the device: its "parts" and "gddr_efficiency".

    Libraries have kernels of their own for Pascal and older, and others from Volta on.
    """
    generations: list[dict[str, Any]] = sorted(constants["generations"], key=lambda one: float(one["capability"]))
    chosen = generations[0]
    for generation in generations:
        if float(generation["capability"]) <= float(device.compute_capability):
            chosen = generation
    return chosen


def native_constants(parts: Mapping[str, Any], launch: Launch) -> dict[str, Any]:
    """Constants as the compiled model takes them: with the host of one way to launch.

    Args:
        parts: what a file has under "parts".
        launch: which of each part's "hosts".
    """
    return {name: _with_host(part, launch) for name, part in parts.items()}


def _with_host(part: Mapping[str, Any], launch: Launch) -> dict[str, Any]:
    if "product" in part:
        return {**part, "product": _with_host(part["product"], launch)}
    return {**part, "host": part["hosts"][launch]}


def native_device(device: GpuDevice, *, gddr_efficiency: float) -> dict[str, Any]:
    """A device as the compiled model takes it: ns, bytes/ns, FLOP/ns.

    Args:
        device: what its datasheet says.
        gddr_efficiency: what GDDR memory reaches of its bandwidth, relative to HBM (`constants.json`).
    """
    capability = device.compute_capability
    return {
        "sm_count": float(device.sm_count),
        "clock_ghz": device.boost_mhz / 1e3,
        "bandwidth": device.bandwidth_gb_s * (1.0 if capability in _HBM else gddr_efficiency),
        "l2_bytes": 1e6 * device.l2_mb,
        "l2_partitions": 2.0 if capability in _TWO_PARTITIONS else 1.0,
        "tdp_w": float(device.tdp_w),
        "node_nm": float(device.node_nm),
        "threads_per_sm": float(_THREADS_PER_SM.get(capability, 2048)),
        "launch_ns": 1e3 * device.launch_us,
        "capability": float(capability),
        "shared_issue": _shared_issue(device),
        "peak": [1e3 * device.peak_tflops.get(dtype, 0.0) for dtype in DTYPES],
    }


_HBM: Final = frozenset({"6.0", "7.0", "8.0", "9.0", "10.0", "10.3"})
"""Compute capabilities of GPUs that come with HBM; all others have GDDR."""

_TWO_PARTITIONS: Final = frozenset({"8.0", "9.0", "10.0", "10.3"})
"""Compute capabilities whose L2 is in two halves, each of which keeps what the multiprocessors beside it read (NVIDIA
A100 whitepaper)."""

_THREADS_PER_SM: Final = {"7.5": 1024, "8.6": 1536, "8.7": 1536, "8.9": 1536, "12.0": 1536}
"""Resident threads of a multiprocessor (CUDA C++ Programming Guide, table of technical specifications); else 2048."""


def _shared_issue(device: GpuDevice) -> bool:
    """Whether instructions that are no multiply-adds take issue slots from those.

    Volta and later issue one instruction a clock and scheduler; 16 lanes a scheduler (7.x, 8.0) leave every other slot
    free, 32 (8.6 and later) leave none. Pascal issues two.
    """
    lanes = 1e6 * device.peak_tflops["fp32"] / (2 * device.sm_count * device.boost_mhz)
    return float(device.compute_capability) >= 7.0 and lanes > 96
