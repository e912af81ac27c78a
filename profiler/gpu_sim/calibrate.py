"""Fits a `Calibration` of a simulated GPU to measurements."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from .. import _native
from .calibration import (
    LEAST_RESIDUAL_SAMPLES,
    LEAST_SAMPLES,
    Calibration,
    PartCalibration,
    apply_factors,
    tiles_of,
)
from .constants import Launch, generation_of, native_constants, native_device, part_of, read_constants
from .device import GpuDevice
from .ops import GpuOp, encode
from .residual import Floats, Residual, residual_features

_STEPS: Final = 12
_FACTOR_SPREAD: Final = 0.3
"""Standard deviation that the logarithm of a factor has before measurements: between GPUs whose constants were fitted
apart it is about that."""
_NOISE: Final = 0.1
_OUTLIER: Final = 2.0  # in units of noise; errors beyond count by their size, not its square (Huber)
_FOLDS: Final = 4
_QUANTILES: Final = (0.1, 0.9)


def calibrate(
    device: GpuDevice,
    ops: Sequence[GpuOp],
    latency_ns: Sequence[float] | Floats,
    *,
    launch: Launch = "graph",
    seed: int = 0,
    constants: dict[str, Any] | None = None,
) -> Calibration:
    """Bring the model of a device closer to measurements of it.

    Of each class and unit with at least `LEAST_SAMPLES` measurements, factors of arithmetic and bandwidth and the floor
    are fitted; from `LEAST_RESIDUAL_SAMPLES`, trees learn what these leave over (scikit-learn grows them).

    Args:
        device: what was measured.
        ops: n kernels.
        latency_ns: of each, shape ``[n]``.
        launch: how they were measured.
        seed: of the folds that the band comes from.
        constants: to start from; those that ship by default.

    Raises:
        UsageError: numbers of ops and latencies differ, a latency is not positive, or no class has enough.
        MissingDependencyError: scikit-learn is needed and not installed.
    """
    measured = np.asarray(latency_ns, np.float64)
    if measured.shape != (len(ops),) or not (np.isfinite(measured) & (measured > 0)).all():
        raise UsageError(
            f"{len(ops)} ops with latencies of shape {measured.shape}",
            hint="give one positive number of ns for each op",
        )
    found = generation_of(constants if constants is not None else read_constants(), device)
    names = np.array([part_of(op.op_class, op.dtype, device) for op in ops])
    rows = encode(ops)
    parts = {}
    for name in sorted(set(names.tolist())):
        chosen = names == name
        if chosen.sum() >= LEAST_SAMPLES:
            fit = _PartFit(device, found, name, launch)
            parts[name] = fit.calibrated(rows[chosen], measured[chosen], np.random.default_rng(seed))
    if not parts:
        raise UsageError(
            f"no class of kernels has {LEAST_SAMPLES} measurements", hint=f"measure at least {LEAST_SAMPLES} of a class"
        )
    return Calibration(device.name, launch, parts)


class _PartFit:
    """The fit of one part of the constants."""

    def __init__(self, device: GpuDevice, generation: dict[str, Any], name: str, launch: Launch) -> None:
        self._gpu, self._device = device, native_device(device, gddr_efficiency=generation["gddr_efficiency"])
        self._parts, self._name, self._launch = generation["parts"], name, launch
        host = _hosts(self._parts[name])[launch]
        self._floor_ns = host["floor_ns"] or self._device["launch_ns"] or 1.0

    def latency_ns(self, logs: Floats, rows: NDArray[np.int64]) -> Floats:
        """Under logarithms of factors of arithmetic, memory and floor."""
        compute, memory, floor = np.exp(logs)
        part = copy.deepcopy(self._parts[self._name])
        apply_factors(part, float(compute), float(memory), float(floor * self._floor_ns), self._launch)
        parts = {**self._parts, self._name: part}
        latency, _ = _native.gpu_sim.Model(self._device, native_constants(parts, self._launch)).estimate(rows)
        return latency

    def factors(self, rows: NDArray[np.int64], measured: Floats) -> Floats:
        """Logarithms of factors: the most probable ones, by Gauss and Newton with Huber's weights."""
        logs = np.zeros(3)
        damping = 1e-3

        def cost(at: Floats) -> tuple[float, Floats]:
            errors = (np.log(self.latency_ns(at, rows)) - np.log(measured)) / _NOISE
            size = np.abs(errors)
            loss = np.where(size <= _OUTLIER, size**2, 2 * _OUTLIER * size - _OUTLIER**2)
            return float(loss.sum() + (at**2).sum() / _FACTOR_SPREAD**2), errors

        least, errors = cost(logs)
        for _ in range(_STEPS):
            slopes = _slopes(lambda at: np.log(self.latency_ns(at, rows)) / _NOISE, logs)
            weights = np.minimum(1, _OUTLIER / np.maximum(np.abs(errors), 1e-9))
            normal = slopes.T @ (weights[:, None] * slopes) + np.eye(3) / _FACTOR_SPREAD**2
            gradient = slopes.T @ (weights * errors) + logs / _FACTOR_SPREAD**2
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            candidate, found = cost(logs - step)
            if candidate < least:
                done = least - candidate < 1e-6 * least
                logs, least, errors, damping = logs - step, candidate, found, damping / 4
                if done:
                    break
            else:
                damping *= 8
        return logs

    def calibrated(self, rows: NDArray[np.int64], measured: Floats, rng: np.random.Generator) -> PartCalibration:
        """Factors, trees where there are enough measurements, and the band."""
        logs, residual = self._fit(rows, measured)
        compute, memory, floor = np.exp(logs)
        low, high = np.quantile(self._held_out_ratios(rows, measured, rng), _QUANTILES)
        return PartCalibration(
            compute=float(compute),
            memory=float(memory),
            floor_ns=float(floor * self._floor_ns),
            band=(float(low), float(high)),
            samples=len(rows),
            residual=residual,
        )

    def _fit(self, rows: NDArray[np.int64], measured: Floats) -> tuple[Floats, Residual | None]:
        logs = self.factors(rows, measured)
        if len(rows) < LEAST_RESIDUAL_SAMPLES:
            return logs, None
        left_over = np.log(measured / self.latency_ns(logs, rows))
        return logs, Residual.learned(self._features(logs, rows), left_over, rows)

    def _features(self, logs: Floats, rows: NDArray[np.int64]) -> Floats:
        def model(asked: NDArray[np.int64]) -> Floats:
            return self.latency_ns(logs, asked)

        return residual_features(self._gpu, rows, model(rows), model, tiles_of(self._parts[self._name]))

    def _held_out_ratios(self, rows: NDArray[np.int64], measured: Floats, rng: np.random.Generator) -> Floats:
        """Measured over simulated, of each measurement by a fit without it."""
        fold = rng.permutation(len(rows)) % _FOLDS
        ratios = np.empty(len(rows))
        for number in range(_FOLDS):
            out = fold == number
            logs, residual = self._fit(rows[~out], measured[~out])
            latency = self.latency_ns(logs, rows[out])
            if residual is not None:
                latency = latency * residual.factors(self._features(logs, rows[out]), rows[out])
            ratios[out] = measured[out] / latency
        return ratios


def _hosts(part: dict[str, Any]) -> dict[str, Any]:
    hosts: dict[str, Any] = part.get("product", part)["hosts"]
    return hosts


def _slopes(function: Callable[[Floats], Floats], at: Floats) -> Floats:
    step = 1e-4
    columns = [function(at + step * unit) - function(at - step * unit) for unit in np.eye(len(at))]
    return np.stack(columns, axis=1) / (2 * step)
