"""`CpuSimulator`: rows of a CPU that is not there."""

from functools import cached_property
from typing import Final

from ...luts import Fingerprint
from ...networks.lowering import Kernel
from ...networks.lowering.sim_cpu import RUNTIME
from ..analytic import AnalyticSimulator, Estimate, dtype_of
from .device import CpuDevice
from .model import MODEL_VERSION, chip_of, constants_of, estimate, shipped
from .work import work_of

DTYPE_OF: Final = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
"""Number format of the hardware by precision."""


class CpuSimulator(AnalyticSimulator):
    """A CPU, a number format, and how many of its cores are at work.

    Args:
        device: the hardware.
        precision: number format that networks are run in.
        threads: cores at work.

    Raises:
        UsageError: more threads than cores.
        UnsupportedDtypeError: the CPU does not compute in that format; lists those it does.
    """

    def __init__(self, device: CpuDevice, precision: str = "float32", threads: int = 1) -> None:
        dtype = dtype_of(device.name, precision, DTYPE_OF, device.dtypes)
        self.device, self.precision, self.threads = device, precision, threads
        self._chip = chip_of(device, dtype, threads)
        self._constants = constants_of(device)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        left_out = {"kind", "note", "sources", "name", "cores", "microarchitecture", "calibration"}
        described = self.device.model_dump(exclude=left_out, exclude_none=True)
        known = self.device.calibration
        return Fingerprint.of(
            "simulated",
            hardware={
                "model": self.device.name,
                "architecture": self.device.microarchitecture,
                "physical_cores": self.device.cores,
                **{name: value if isinstance(value, int) else repr(value) for name, value in described.items()},
            },
            runtime={"name": RUNTIME, "version": str(MODEL_VERSION)},
            settings={"precision": self.precision, "threads": self.threads},
            code={
                "model": MODEL_VERSION,
                "constants": shipped().version,
                "calibration": repr((known.compute, known.memory, known.op_us)) if known else "",
            },
        )

    @property
    def versions(self) -> dict[str, str]:
        return {"model of CPUs": str(MODEL_VERSION), "constants": str(shipped().version)}

    @property
    def error(self) -> float:
        """Typical relative error of a row, one standard deviation."""
        known = self.device.calibration
        return known.error if known else shipped().error

    @property
    def note(self) -> str:
        known = self.device.calibration
        if known:
            return f"simulated, calibrated on {known.samples} samples ({known.source}): a device to rank networks on"
        return "simulated from a datasheet: a device to rank networks on, its milliseconds are rough"

    def estimate(self, kernel: Kernel) -> Estimate:
        """Latency of a kernel of `lutra.networks.lowering.sim_cpu`.

        Raises:
            UnsupportedOpError: the model has no idea of its op.
        """
        latencies_ns, (bound,) = estimate([work_of(kernel)], self._chip, self._constants)
        return Estimate(float(latencies_ns[0]), bound, self.error)
