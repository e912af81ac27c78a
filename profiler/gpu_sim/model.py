"""The latency of kernels on a GPU that is not there.

The model is `csrc/gpu_sim`: tiles, waves and split products; traffic to DRAM and within the L2; two tiers of bandwidth;
power; what launching takes. A device is what its datasheet says, all else are constants (`constants.py`), which
`calibrate` brings closer with measurements. Whatever comes from here is simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UnsupportedDtypeError
from .. import _native
from .calibration import Calibration, residual_factors, scaled
from .constants import Launch, generation_of, native_constants, native_device, part_of, read_constants
from .device import GpuDevice
from .ops import GpuOp, encode

Bound = Literal["compute", "dram", "l2", "launch"]
BOUNDS: Final[tuple[Bound, ...]] = ("compute", "dram", "l2", "launch")
"""What kernels wait for, in the order of the compiled model's numbers."""


UNMEASURED: Final = frozenset({"int8", "fp8"})
"""Number formats that nothing was fitted to or compared with: the peak is the datasheet's, all else is taken over from
the 16-bit formats of the same tensor cores. The band of a product is taken to be twice as wide (its logarithm)."""

_UNMEASURED_WIDTH: Final = 2.0


@dataclass(frozen=True)
class Answers:
    """Simulated latencies of n kernels.

    Attributes:
        latency_ns: shape ``[n]``.
        low_ns, high_ns: bounds between which 80 % of kernels of such a class were found, shape ``[n]``.
        bounds: what each waits for.
    """

    latency_ns: NDArray[np.float64]
    low_ns: NDArray[np.float64]
    high_ns: NDArray[np.float64]
    bounds: tuple[Bound, ...]

    def __len__(self) -> int:
        return len(self.bounds)


class GpuModel:
    """Estimates kernels on one device.

    Args:
        device: what its datasheet says.
        launch: "graph" for kernels that follow each other in a CUDA graph; "eager" for one that a host launches and
            waits for.
        calibration: from `calibrate`; must be of the same device.
        constants: as `read_constants` gives them; those that ship by default.

    Raises:
        UsageError: a calibration of another device.
    """

    def __init__(
        self,
        device: GpuDevice,
        *,
        launch: Launch = "graph",
        calibration: Calibration | None = None,
        constants: dict[str, Any] | None = None,
    ) -> None:
        found = generation_of(constants if constants is not None else read_constants(), device)
        if calibration is not None:
            calibration.check(device, launch)
        self.device = device
        self.launch = launch
        self.calibration = calibration
        self._bands: dict[str, tuple[float, float]] = {
            name: (part["band"][0], part["band"][1]) for name, part in found["parts"].items()
        }
        self._parts = scaled(found["parts"], calibration)
        self._native = _native.gpu_sim.Model(
            native_device(device, gddr_efficiency=found["gddr_efficiency"]), native_constants(self._parts, launch)
        )

    def estimate(self, ops: Sequence[GpuOp]) -> Answers:
        """Latencies of n kernels.

        Raises:
            UnsupportedDtypeError: the device does not compute in the number format of one.
            ShapeError: sizes that no kernel has.
        """
        for op in ops:
            self._check(op)
        rows = encode(ops)
        latency, bound = self._native.estimate(rows)
        parts = [part_of(op.op_class, op.dtype, self.device) for op in ops]
        if self.calibration is not None:
            latency = latency * residual_factors(
                self.calibration, self.device, self._parts, parts, rows, latency, self.estimate_encoded
            )
        bands = [self._band(part, op.dtype) for part, op in zip(parts, ops, strict=True)]
        low = np.array([band[0] for band in bands])
        high = np.array([band[1] for band in bands])
        return Answers(latency, latency * low, latency * high, tuple(BOUNDS[number] for number in bound))

    def estimate_encoded(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Latencies in ns of ops as `encode` gives them, shape ``[n]``; no residual model is asked.

        Raises:
            ValueError: a row that is no op; says which.
        """
        latency, _ = self._native.estimate(rows)
        return latency

    def _check(self, op: GpuOp) -> None:
        if op.op_class in ("gemm", "linear", "conv") and op.dtype not in self.device.dtypes:
            raise UnsupportedDtypeError(
                f"{self.device.name} does not compute in {op.dtype}",
                hint=f"give one of: {', '.join(self.device.dtypes)}",
            )

    def _band(self, part: str, dtype: str) -> tuple[float, float]:
        calibrated = self.calibration is not None and part in self.calibration.parts
        low, high = self.calibration.parts[part].band if calibrated and self.calibration else self._bands[part]
        if dtype not in UNMEASURED or "." not in part:  # what only moves numbers goes by their bytes
            return low, high
        return low**_UNMEASURED_WIDTH, high**_UNMEASURED_WIDTH


def simulate(
    device: GpuDevice,
    ops: Sequence[GpuOp],
    *,
    launch: Launch = "graph",
    calibration: Calibration | None = None,
) -> Answers:
    """Latencies of n kernels on ``device`` (`GpuModel`, made for this call)."""
    return GpuModel(device, launch=launch, calibration=calibration).estimate(ops)
