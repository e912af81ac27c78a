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

from ...luts.trees import BoostedTrees
from ...networks.errors import FormatVersionError, UsageError
from .constants import PARTS, Launch
from .device import GpuDevice
from .ops import SIZES
from .residual import FEATURES, MOST_TILES, SIZE_FEATURES, Floats, Integers, Latency, Residual, residual_features

VERSION: Final = 2
"""Version 1 has trees that were told sizes alone, and not which sizes they were shown."""

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


@dataclass(frozen=True)
class PartCalibration:
    """Of one class of kernels on one unit.

    Attributes:
        compute: multiplies the rate of arithmetic.
        memory: multiplies bandwidths.
        floor_ns: least latency of a kernel.
        band: 10 % and 90 % quantiles of measured over simulated latency, cross-validated.
        samples: how many measurements it was fitted on.
        residual: what is left over; None below `LEAST_RESIDUAL_SAMPLES`.
    """

    compute: float
    memory: float
    floor_ns: float
    band: tuple[float, float]
    samples: int
    residual: Residual | None = None

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
            parts = {name: _part_from_json(part, version) for name, part in content["parts"].items()}
            if unknown := set(parts) - set(PARTS):
                raise ValueError(f"unknown classes {sorted(unknown)}")
            return cls(str(content["device"]), content["launch"], parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UsageError(f"{path} holds no calibration: {error}", hint="calibrate the device anew") from None


def _part_to_json(part: PartCalibration) -> dict[str, Any]:
    return {
        "compute": part.compute,
        "memory": part.memory,
        "floor_ns": part.floor_ns,
        "band": list(part.band),
        "samples": part.samples,
        "residual": None if part.residual is None else _residual_to_json(part.residual),
    }


def _residual_to_json(residual: Residual) -> dict[str, Any]:
    trees = {name: array.tolist() for name, array in residual.trees.arrays().items()}
    return {**trees, "low": residual.low.tolist(), "high": residual.high.tolist()}


def _part_from_json(content: Mapping[str, Any], version: int) -> PartCalibration:
    low, high = content["band"]
    return PartCalibration(
        compute=float(content["compute"]),
        memory=float(content["memory"]),
        floor_ns=float(content["floor_ns"]),
        band=(float(low), float(high)),
        samples=int(content["samples"]),
        residual=None if content["residual"] is None else _residual_from_json(content["residual"], version),
    )


def _residual_from_json(content: Mapping[str, Any], version: int) -> Residual:
    integers, bounds = ("feature", "left", "right"), ("low", "high")
    arrays = {
        name: np.array(rows, np.int32 if name in integers else np.float64)
        for name, rows in content.items()
        if name not in bounds
    }
    trees = BoostedTrees.from_arrays(arrays)
    _check_trees(trees, SIZE_FEATURES if version == 1 else FEATURES)
    if version == 1:
        return Residual(trees, np.full(SIZES, -np.inf), np.full(SIZES, np.inf))
    low, high = (np.array(content[name], np.float64) for name in bounds)
    if low.shape != (SIZES,) or high.shape != (SIZES,) or not (np.isfinite(low) & (low <= high) & (high < 64)).all():
        raise ValueError("the sizes that the trees were shown are none")
    return Residual(trees, low, high)


def _check_trees(trees: BoostedTrees, features: int) -> None:
    arrays = (trees.feature, trees.threshold, trees.left, trees.right, trees.value)
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError("the arrays of the trees have different shapes")
    nodes = next(iter(shapes))[1]
    for children in (trees.left, trees.right):
        if children.min() < 0 or children.max() >= nodes:
            raise ValueError("a node of the trees leads nowhere")
    if trees.feature.min() < 0 or trees.feature.max() >= features or not 0 <= trees.depth <= nodes:
        raise ValueError("the trees ask for what there is not")
    if not (np.isfinite(trees.start) and np.isfinite(trees.threshold).all() and np.isfinite(trees.value).all()):
        raise ValueError("the trees hold numbers that are none")


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


def residual_factors(
    calibration: Calibration,
    device: GpuDevice,
    constants: Mapping[str, Any],
    parts: Sequence[str],
    rows: Integers,
    latency_ns: Floats,
    model: Latency,
) -> Floats:
    """What the trees of each op's part multiply its latency by, shape ``[n]``; 1 without trees.

    Args:
        calibration: of the device.
        device: whose kernels they are.
        constants: by part, as `scaled` gives them.
        parts: name of each op's.
        rows: ops as `encode` gives them, shape ``[n, 16]``.
        latency_ns: of the factors alone, shape ``[n]``.
        model: that said so.
    """
    factors = np.ones(len(rows))
    names = np.array(parts)
    for name, part in calibration.parts.items():
        chosen = names == name
        if part.residual is not None and chosen.any():
            tiles = tiles_of(constants[name])
            features = residual_features(device, rows[chosen], latency_ns[chosen], model, tiles)
            factors[chosen] = part.residual.factors(features, rows[chosen])
    return factors


def tiles_of(part: Mapping[str, Any]) -> int:
    """How many tiles of a part the trees are told of; 0 for classes that have none."""
    return min(len(part.get("tiles", ())), MOST_TILES)
