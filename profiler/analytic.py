"""Simulators that are formulas: a kernel's latency with what bounds it, and how far it may be off."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..luts.table import CALIBRATION_DOCUMENT
from ..networks.errors import UnsupportedDtypeError
from ..networks.lowering import Kernel
from .simulation import SimulatedKernel, Simulator

SIGMAS: Final = 1.96
"""Half a 95 % interval in standard deviations."""

SUM_ERROR: Final = 0.05
"""Relative error of a sum of exact kernels, as for tables that were measured."""

_ESTIMATE_S: Final = 2e-5


def dtype_of(device: str, precision: str, known: Mapping[str, str], able: Collection[str]) -> str:
    """The number format of the hardware that a precision means.

    Args:
        device: name of the hardware.
        precision: what was asked for.
        known: formats by precision.
        able: formats that the hardware computes in.

    Raises:
        UnsupportedDtypeError: it does not compute in that precision; lists those it does.
    """
    if known.get(precision) not in able:
        runs = ", ".join(name for name, dtype in known.items() if dtype in able)
        raise UnsupportedDtypeError(f"{device} does not compute in {precision}", hint=f"it does in: {runs}")
    return known[precision]


@dataclass(frozen=True)
class Estimate:
    """What a formula says of one kernel.

    Attributes:
        latency_ns: of one run.
        bound: what most of it goes to, such as "compute", "dram" or "launch".
        error: typical relative error, one standard deviation.
    """

    latency_ns: float
    bound: str
    error: float


class AnalyticSimulator(Simulator):
    """A formula of a device. Its rows keep what bounds them (``bound``) and how far they may be off (``band``)."""

    @property
    @abstractmethod
    def note(self) -> str:
        """What a reader of any number has to know: that it is simulated, and how much it is worth."""

    @abstractmethod
    def estimate(self, kernel: Kernel) -> Estimate:
        """The formula.

        Raises:
            LutraError: it does not know such a kernel.
        """

    def simulate(self, kernel: Kernel) -> SimulatedKernel:
        found = self.estimate(kernel)
        details = {"bound": found.bound, "band": round(found.error, 4)}
        return SimulatedKernel.of_ns(found.latency_ns, details, rel_halfwidth=SIGMAS * found.error)

    def run_overhead(self) -> SimulatedKernel:
        return SimulatedKernel(0, 1, {"bound": "launch", "band": 0.0})

    def estimate_s(self, kernel: Kernel) -> float:
        del kernel
        return _ESTIMATE_S

    @property
    def documents(self) -> Mapping[str, Mapping[str, Any]]:
        """The doubt of each row is its own, so that only that of their sum is left; and what a reader has to know."""
        document = {"scale": 1.0, "source": "", "error": SUM_ERROR, "note": self.note}
        return {CALIBRATION_DOCUMENT: document}
