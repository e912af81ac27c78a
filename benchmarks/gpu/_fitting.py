"""Fits constants to measurements: least squares of log errors with a prior, the compiled model inside."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from lutra.profiler import _native
from lutra.profiler.gpu_sim.constants import Launch, native_constants, native_device
from lutra.profiler.gpu_sim.device import GpuDevice, read_gpu

from .._results import ROOT
from ._data import Measured

Floats = NDArray[np.float64]
DEVICES: Final = ROOT / "profiler" / "gpu_sim" / "devices"

GDDR_EFFICIENCY: Final = 0.84
"""Of P4 and T4 relative to V100 and A100, by the largest element-wise kernels."""


@dataclass(frozen=True)
class Parameter:
    """One constant that is fitted.

    Attributes:
        paths: where it stands below the parts; in several places, if classes share it.
        spread: standard deviation of its logarithm (or logit) before measurements.
        scale: how it moves: "log" for positive ones, "logit" for shares.
    """

    paths: tuple[tuple[str | int, ...], ...]
    spread: float = 0.3
    scale: Literal["log", "logit"] = "log"


@cache
def device(name: str) -> GpuDevice:
    """One of the descriptions that ship."""
    return read_gpu(DEVICES / f"{name}.yaml")


def get(parts: Mapping[str, Any], path: Sequence[str | int]) -> float:
    """The constant at a path."""
    at: Any = parts
    for key in path:
        at = at[key]
    return float(at)


def put(parts: dict[str, Any], path: Sequence[str | int], value: float) -> None:
    """Set the constant at a path."""
    at: Any = parts
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value


@dataclass(frozen=True)
class Task:
    """Kernels of one class that are fitted to.

    Attributes:
        measured: one entry a GPU; each GPU weighs the same.
        part: whose constants.
        known_tiles: whether the tiles that ran are given to the model.
        floors_ns: least latency on each GPU's host, which is no property of the GPU.
        launch: how it was measured.
    """

    measured: Sequence[Measured]
    part: str
    known_tiles: bool = False
    floors_ns: Mapping[str, float] | None = None
    launch: Launch = "eager"


def estimate(
    parts: dict[str, Any],
    part: str,
    measured: Measured,
    *,
    known_tiles: bool = False,
    floor_ns: float | None = None,
    launch: Launch = "eager",
    gpu: GpuDevice | None = None,
    gddr_efficiency: float = GDDR_EFFICIENCY,
) -> Floats:
    """Latencies in ns of measured kernels under constants, shape ``[n]``."""
    native = native_constants(parts, launch)
    if floor_ns is not None:
        _host(native[part])["floor_ns"] = floor_ns
    model = _native.gpu_sim.Model(native_device(gpu or device(measured.gpu), gddr_efficiency=gddr_efficiency), native)
    return model.estimate(measured.with_tiles() if known_tiles else measured.rows)[0]


def _host(part: dict[str, Any]) -> dict[str, Any]:
    inner = part.get("product", part)
    inner["host"] = dict(inner["host"])
    host: dict[str, Any] = inner["host"]
    return host


def floors(measured: Sequence[Measured], quantile: float = 0.03) -> dict[str, float]:
    """The least latency on each GPU, but for outliers: what its host takes."""
    return {one.gpu: float(np.quantile(one.latency_ns, quantile)) for one in measured}


def fit(
    parts: Mapping[str, Any],
    tasks: Sequence[Task],
    parameters: Sequence[Parameter],
    *,
    noise: float = 0.1,
    most: int = 60,
) -> dict[str, Any]:
    """Constants with the parameters fitted to all tasks at once; a copy.

    The loss is soft L1 of log errors: a kernel that the library ran in another way than the model has counts little.
    """
    made = copy.deepcopy(dict(parts))
    logit = np.array([parameter.scale == "logit" for parameter in parameters])
    start = _to_free(np.array([get(made, parameter.paths[0]) for parameter in parameters]), logit)
    spread = np.array([parameter.spread for parameter in parameters])
    count = sum(len(one) for task in tasks for one in task.measured)
    share = count / sum(len(task.measured) for task in tasks)

    def errors(free: Floats) -> Floats:
        for parameter, value in zip(parameters, _from_free(free, logit), strict=True):
            for path in parameter.paths:
                put(made, path, float(value))
        columns = [
            _errors(made, task, one, noise) * np.sqrt(share / len(one)) for task in tasks for one in task.measured
        ]
        # The prior counts as much as a hundredth of the data: measurements decide where they can tell.
        return np.concatenate([*columns, np.sqrt(count / 100) * (free - start) / spread])

    found = least_squares(errors, start, loss="soft_l1", max_nfev=most, diff_step=1e-4)
    errors(found.x)
    return made


def _errors(parts: dict[str, Any], task: Task, measured: Measured, noise: float) -> Floats:
    floor = None if task.floors_ns is None else task.floors_ns[measured.gpu]
    latency = estimate(parts, task.part, measured, known_tiles=task.known_tiles, floor_ns=floor, launch=task.launch)
    return (np.log(latency) - np.log(measured.latency_ns)) / noise


def _to_free(values: Floats, logit: NDArray[np.bool_]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(logit, np.log(values / (1 - values)), np.log(values))


def _from_free(free: Floats, logit: NDArray[np.bool_]) -> Floats:
    return np.where(logit, 1 / (1 + np.exp(-free)), np.exp(np.minimum(free, 50)))


def mape(estimated: Floats, measured: Floats) -> float:
    """Mean absolute error of estimates relative to what was measured, %."""
    return float(100 * np.mean(np.abs(estimated / measured - 1)))
