"""`GpuSimulator`: rows of a GPU that is not there."""

import math
from functools import cached_property
from typing import Final

from ...luts import Fingerprint
from ...networks.errors import MeasurementError
from ...networks.lowering import Kernel
from ...networks.lowering.cuda import RUNTIME
from ..analytic import AnalyticSimulator, Estimate, dtype_of
from .calibration import Calibration
from .constants import read_constants
from .describe import ops_of
from .device import GpuDevice
from .model import UNMEASURED, GpuModel

DTYPE_OF: Final = {
    "float32": "fp32",
    "tf32": "tf32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "int8": "int8",
    "float8": "fp8",
}
"""Number format of the hardware by precision: those that networks are lowered in."""

MODEL_VERSION: Final = 1
"""Raised whenever a change to the model, or to what kernels ask of it, makes older rows incomparable."""

_BAND_SIGMAS: Final = 1.2816  # half of 80 % of a normal distribution
_BYTES: Final = 1e9


def runnable(device: GpuDevice) -> tuple[str, ...]:
    """Number formats that networks run in there: around products of 8 bits all else is fp16, which must be there."""
    return tuple(dtype for dtype in device.dtypes if dtype not in UNMEASURED or "fp16" in device.dtypes)


class GpuSimulator(AnalyticSimulator):
    """A GPU and a number format, with kernels that follow each other in a CUDA graph.

    Args:
        device: the hardware.
        precision: number format that networks are run in.
        calibration: what fits it to measured kernels; None for what is shipped.

    Raises:
        UnsupportedDtypeError: the GPU does not compute in that format; lists those it does.
        UsageError: a calibration of another device.
    """

    def __init__(
        self, device: GpuDevice, precision: str = "float32", *, calibration: Calibration | None = None
    ) -> None:
        dtype_of(device.name, precision, DTYPE_OF, runnable(device))
        self.device, self.precision = device, precision
        self._calibration = calibration
        self._model = GpuModel(device, calibration=calibration)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        left_out = {"kind", "note", "sources", "discrepancies", "name", "arch"}
        described = self.device.model_dump(exclude=left_out)
        parts = self._calibration.parts if self._calibration else {}
        fitted: dict[str, tuple[float | str, ...]] = {}
        for name, part in parts.items():
            learned = () if part.residual is None else (part.residual.digest,)
            fitted[name] = (part.compute, part.memory, part.floor_ns, part.samples, *learned)
        return Fingerprint.of(
            "simulated",
            hardware={
                "model": self.device.name,
                "architecture": self.device.arch,
                **{name: value if isinstance(value, int | str) else repr(value) for name, value in described.items()},
            },
            runtime={"name": RUNTIME, "version": f"simulated {MODEL_VERSION}"},
            settings={"precision": self.precision, "threads": 1},
            code={"model": MODEL_VERSION, "constants": int(read_constants()["version"]), "calibration": repr(fitted)},
        )

    @property
    def versions(self) -> dict[str, str]:
        return {"model of GPUs": str(MODEL_VERSION), "constants": str(read_constants()["version"])}

    @property
    def note(self) -> str:
        if self._calibration is not None:
            samples = sum(part.samples for part in self._calibration.parts.values())
            told = f"simulated, calibrated on {samples} kernels that were measured; kernels run in a CUDA graph"
        else:
            told = "simulated from a datasheet, nothing fitted to this GPU; kernels run in a CUDA graph"
        if DTYPE_OF[self.precision] in UNMEASURED:
            told += f"; no product in {self.precision} was ever compared with a measured one"
        return told

    def estimate(self, kernel: Kernel) -> Estimate:
        """Latency of a kernel of `lutra.networks.lowering.cuda`.

        Raises:
            UnsupportedOpError: the model has no idea of it.
            MeasurementError: its tensors do not fit the memory of the GPU.
        """
        self._require_memory(kernel)
        found = self._model.estimate(ops_of(kernel))
        latency_ns = float(found.latency_ns.sum())
        spread = float(found.high_ns.sum()) / float(found.low_ns.sum())
        slowest = int(found.latency_ns.argmax())
        return Estimate(latency_ns, found.bounds[slowest], 0.5 * math.log(spread) / _BAND_SIGMAS)

    def _require_memory(self, kernel: Kernel) -> None:
        taken = sum(t.nbytes for t in (*dict(kernel.inputs).values(), *dict(kernel.outputs).values()))
        taken += kernel.weight_bytes
        if taken > self.device.memory_gb * _BYTES:
            raise MeasurementError(
                f"{kernel.label} takes {taken / _BYTES:.1f} GB, {self.device.name} has {self.device.memory_gb:g} GB"
            )
