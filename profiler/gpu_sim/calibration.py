"""What measurements on a device make of the model of it: three factors a class, and trees for what they leave over."""

import copy
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ...luts.trees import BoostedTrees
from ...networks.errors import FormatVersionError, UsageError
from .constants import PARTS, Launch
from .device import GpuDevice

VERSION: Final = 1
LEAST_SAMPLES: Final = 10
"""Measurements of a class from which its factors are fitted."""

LEAST_RESIDUAL_SAMPLES: Final = 300
"""Measurements of a class from which trees learn what the factors leave over."""

_MULTIPLIED: Final = {
    "compute": ("efficiency", "fused_winograd_efficiency", "depthwise_efficiency"),
    "memory": ("dram_efficiency", "l2_bytes_per_clock", "winograd_bandwidth", "depthwise_bandwidth"),
}
_DIVIDED: Final = {
    "compute": ("element_cycles", "window_cycles", "row_ns", "vector_round_ns", "scalar_round_ns", "step_latency_ns")
}
_NOT_SCALED: Final = ("hosts", "power", "trees")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PartCalibration:
    """Of one class of kernels on one unit.

    Attributes:
        compute: multiplies the rate of arithmetic.
        memory: multiplies bandwidths.
        floor_ns: least latency of a kernel.
        band: 10 % and 90 % quantiles of measured over simulated latency, cross-validated.
        samples: how many measurements it was fitted on.
        residual: logarithm of what is left over, from `residual_features`; None below `LEAST_RESIDUAL_SAMPLES`.
    """

    compute: float
    memory: float
    floor_ns: float
    band: tuple[float, float]
    samples: int
    residual: BoostedTrees | None = None

    def __post_init__(self) -> None:
        numbers = (self.compute, self.memory, self.floor_ns, *self.band)
        if not all(math.isfinite(number) and number > 0 for number in numbers) or self.band[0] > self.band[1]:
            raise ValueError("factors, floor and band must be positive numbers, the band in order")


@dataclass(frozen=True)
class Calibration:
    """Made by `calibrate`, for one device under one way to launch.

    Attributes:
        device: its name.
        launch: as measured.
        parts: by class and unit (`PARTS`); those with too few measurements are not there.
    """

    device: str
    launch: Launch
    parts: Mapping[str, PartCalibration] = field(default_factory=dict)

    def check(self, device: GpuDevice, launch: Launch) -> None:
        """Refuse another device or another way to launch.

        Raises:
            UsageError: it is one.
        """
        if (self.device, self.launch) != (device.name, launch):
            raise UsageError(
                f"a calibration of {self.device} ({self.launch}) for {device.name} ({launch})",
                hint="calibrate this device with measurements of its own",
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON."""
        content = {
            "version": VERSION,
            "device": self.device,
            "launch": self.launch,
            "parts": {name: _part_to_json(part) for name, part in self.parts.items()},
        }
        Path(path).write_text(json.dumps(content) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """What `save` wrote.

        Raises:
            UsageError: it cannot be read, or is no calibration.
            FormatVersionError: it was written by a newer version.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            version = int(content["version"])
            if version > VERSION:
                raise FormatVersionError(str(path), version, VERSION)
            if content["launch"] not in ("graph", "eager"):
                raise ValueError(f"launch is {content['launch']!r}")
            parts = {name: _part_from_json(part) for name, part in content["parts"].items()}
            if unknown := set(parts) - set(PARTS):
                raise ValueError(f"unknown classes {sorted(unknown)}")
            return cls(str(content["device"]), content["launch"], parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(f"{path} holds no calibration: {error}", hint="calibrate the device anew") from None


def _part_to_json(part: PartCalibration) -> dict[str, Any]:
    trees = part.residual
    return {
        "compute": part.compute,
        "memory": part.memory,
        "floor_ns": part.floor_ns,
        "band": list(part.band),
        "samples": part.samples,
        "residual": None if trees is None else {name: array.tolist() for name, array in trees.arrays().items()},
    }


def _part_from_json(content: Mapping[str, Any]) -> PartCalibration:
    low, high = content["band"]
    return PartCalibration(
        compute=float(content["compute"]),
        memory=float(content["memory"]),
        floor_ns=float(content["floor_ns"]),
        band=(float(low), float(high)),
        samples=int(content["samples"]),
        residual=None if content["residual"] is None else _trees_from_json(content["residual"]),
    )


def _trees_from_json(content: Mapping[str, Any]) -> BoostedTrees:
    integers = ("feature", "left", "right")
    arrays = {name: np.array(rows, np.int32 if name in integers else np.float64) for name, rows in content.items()}
    trees = BoostedTrees.from_arrays(arrays)
    shapes = {arrays[name].shape for name in ("feature", "threshold", "left", "right", "value")}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError("the arrays of the trees have different shapes")
    nodes = next(iter(shapes))[1]
    for name in ("left", "right"):
        if arrays[name].min() < 0 or arrays[name].max() >= nodes:
            raise ValueError("a node of the trees leads nowhere")
    if arrays["feature"].min() < 0 or arrays["feature"].max() >= FEATURES or not 0 <= trees.depth <= nodes:
        raise ValueError("the trees ask for what there is not")
    if not all(np.isfinite(arrays[name]).all() for name in ("scalars", "threshold", "value")):
        raise ValueError("the trees hold numbers that are none")
    return trees


def scaled(parts: Mapping[str, Any], calibration: Calibration | None) -> dict[str, Any]:
    """Constants with the factors of a calibration in them; a copy."""
    made = {name: copy.deepcopy(part) for name, part in parts.items()}
    for name, part in (calibration.parts if calibration is not None else {}).items():
        apply_factors(
            made[name], part.compute, part.memory, part.floor_ns, calibration.launch if calibration else "graph"
        )
    return made


def apply_factors(part: dict[str, Any], compute: float, memory: float, floor_ns: float, launch: Launch) -> None:
    """Multiply what a part's constants say of arithmetic and memory, and set its floor, in place."""
    factors = {"compute": compute, "memory": memory}
    for key, value in part.items():
        if key in _NOT_SCALED:
            continue
        if isinstance(value, dict):
            apply_factors(value, compute, memory, floor_ns, launch)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                apply_factors(item, compute, memory, floor_ns, launch)
        else:
            for kind, factor in factors.items():
                if key in _MULTIPLIED[kind]:
                    part[key] = value * factor
                elif key in _DIVIDED.get(kind, ()):
                    part[key] = value / factor
    if "hosts" in part:
        part["hosts"] = {**part["hosts"], launch: {**part["hosts"][launch], "floor_ns": floor_ns}}


FEATURES: Final = 16


def residual_features(rows: NDArray[np.int64], latency_ns: Floats) -> Floats:
    """What trees see of ops: logarithms of their sizes and of the latency of the factors alone.

    Args:
        rows: as `encode` gives them, shape ``[n, 16]``.
        latency_ns: of the factors alone, shape ``[n]``.

    Returns:
        Shape ``[n, FEATURES]``.
    """
    sizes = np.log1p(rows[:, 2:].astype(np.float64))
    return np.column_stack([sizes, rows[:, 1], np.log(latency_ns)])


def residual_factors(
    calibration: Calibration, parts: Sequence[str], rows: NDArray[np.int64], latency_ns: Floats
) -> Floats:
    """What the trees of each op's part multiply its latency by, shape ``[n]``; 1 without trees."""
    factors = np.ones(len(rows))
    names = np.array(parts)
    for name, part in calibration.parts.items():
        chosen = names == name
        if part.residual is not None and chosen.any():
            factors[chosen] = np.exp(part.residual.predict(residual_features(rows[chosen], latency_ns[chosen])))
    return factors
