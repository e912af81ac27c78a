"""Fitting a simulated CPU to latencies that were measured on the real one: three numbers from five samples on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ...networks.lowering import LoweredNetwork
from .._native import cpu_sim
from .device import CpuCalibration, CpuDevice
from .model import as_table, chip_of, native, shipped
from .simulator import DTYPE_OF
from .work import work_of

LEAST_SAMPLES: Final = 5

_SAMPLE_ERROR: Final = 0.2  # of the model, once its scale is right; what priors are weighed against
_PRIORS: Final = np.array([1.0, 0.3, 0.7])  # spread of ln(compute), ln(memory / compute), ln(op_us)
_FOLDS: Final = 10
_STEPS: Final = 30
_STEP: Final = 1e-4
_UNIT: Final = 100.0  # a factor between samples and model that means another unit
_LEAST_ERROR: Final = 0.02


@dataclass(frozen=True)
class Sample:
    """A network that was measured.

    Attributes:
        lowered: its kernels, by `lutra.networks.lowering.sim_cpu`.
        latency_ms: what it took.
    """

    lowered: LoweredNetwork
    latency_ms: float


@dataclass(frozen=True)
class Calibrated:
    """A CPU with its calibration, and what that is worth.

    Attributes:
        device: the CPU; its calibration has the error on samples that were left out.
        error_before: mean relative error of the samples before.
        error_after: the same with each sample predicted by the others.
    """

    device: CpuDevice
    error_before: float
    error_after: float


def calibrate(
    device: CpuDevice, samples: Sequence[Sample], *, source: str, precision: str = "float32", threads: int = 1
) -> Calibrated:
    """Fit what arithmetic, memory and a call take to networks that were measured.

    Minimises squared errors of logarithms, with priors: memory is off by as much as arithmetic, and a call takes what
    is shipped. Five samples so decide little more than one factor, more of them decide more.

    Args:
        device: the CPU; a calibration that it has is forgotten.
        samples: five or more, of different networks.
        source: where they are from, for those who read the file.
        precision: number format they were measured in.
        threads: how many cores were at work.

    Raises:
        UsageError: too few samples, latencies that are no positive numbers, or that seem to be in another unit.
        UnsupportedDtypeError: the CPU does not compute in that precision.
    """
    measured = np.array([sample.latency_ms for sample in samples], dtype=np.float64)
    if len(samples) < LEAST_SAMPLES:
        raise UsageError(f"{len(samples)} samples", hint=f"measure {LEAST_SAMPLES} networks or more")
    if not (np.isfinite(measured).all() and (measured > 0).all()):
        raise UsageError("a latency is no positive number", hint="give milliseconds")
    plain = device.model_copy(update={"calibration": None})
    fit = _Fit(plain, samples, precision, threads)
    before = fit.predicted_ms(fit.start)
    off = float(np.exp(np.median(np.log(measured / before))))
    if not 1 / _UNIT < off < _UNIT:
        raise UsageError(
            f"the samples take {off:.3g} times what {device.name} is simulated to take",
            hint="give milliseconds, of networks on such a device",
        )
    everything = np.arange(len(samples))
    found = fit.fitted(measured, everything)
    held_out = np.empty(len(samples))
    for fold in range(min(_FOLDS, len(samples))):
        left_out = everything[fold::_FOLDS] if len(samples) > _FOLDS else everything[fold : fold + 1]
        kept = np.setdiff1d(everything, left_out)
        held_out[left_out] = fit.predicted_ms(fit.fitted(measured, kept))[left_out]
    errors = np.log(held_out / measured)
    compute, memory, op_us = fit.numbers(found)
    calibration = CpuCalibration(
        compute=round(compute, 4),
        memory=round(memory, 4),
        op_us=round(op_us, 3),
        samples=len(samples),
        error=round(max(float(np.sqrt(np.mean(errors**2))), _LEAST_ERROR), 4),
        source=source,
    )
    return Calibrated(
        plain.model_copy(update={"calibration": calibration}),
        float(np.mean(np.abs(before / measured - 1))),
        float(np.mean(np.abs(held_out / measured - 1))),
    )


class _Fit:
    """The samples' work, and what it takes for given parameters: ln(compute), ln(memory / compute), ln(op_us)."""

    def __init__(self, device: CpuDevice, samples: Sequence[Sample], precision: str, threads: int) -> None:
        self._chip = chip_of(device, DTYPE_OF.get(precision, precision), threads)
        self._constants = shipped().constants
        works = [[work_of(kernel) for kernel in sample.lowered.kernels] for sample in samples]
        self._table = as_table(work for network in works for work in network)
        self._ends = np.cumsum([0, *map(len, works)])[:-1]
        self.start = np.array([0.0, 0.0, math.log(self._constants.op_us)])

    def numbers(self, parameters: NDArray[np.float64]) -> tuple[float, float, float]:
        compute, memory, op_us = np.exp([parameters[0], parameters[0] + parameters[1], parameters[2]])
        return float(compute), float(memory), float(op_us)

    def predicted_ms(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        compute, memory, op_us = self.numbers(parameters)
        chip = replace(self._chip, compute_factor=compute, memory_factor=memory)
        found = cpu_sim.estimate(self._table, *native(chip, replace(self._constants, op_us=op_us)))
        sums: NDArray[np.float64] = np.add.reduceat(found[0], self._ends) / 1e6
        return sums

    def fitted(self, measured: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.float64]:
        """The parameters for some of the samples, by damped Gauss-Newton steps."""

        def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
            errors = np.log(self.predicted_ms(parameters)[kept] / measured[kept]) / _SAMPLE_ERROR
            return np.concatenate([errors, (parameters - self.start) / _PRIORS])

        parameters, damping = self.start, 1e-3
        current = residuals(parameters)
        for _ in range(_STEPS):
            steps = np.eye(len(parameters)) * _STEP
            jacobian = np.column_stack([(residuals(parameters + step) - current) / _STEP for step in steps])
            normal = jacobian.T @ jacobian
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -jacobian.T @ current)
            tried = residuals(parameters + step)
            if tried @ tried < current @ current:
                parameters, current, damping = parameters + step, tried, damping / 10
            else:
                damping *= 10
            if float(np.abs(step).max()) < 1e-6:
                break
        return parameters
