"""What kernels take on a CPU that is not there, by the compiled model (`csrc/cpu_sim`)."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from .._native import cpu_sim
from .device import DTYPES, CpuDevice
from .reference import BOUNDS, Chip, Constants
from .work import CpuWork

MODEL_VERSION: Final = 1
"""Raised whenever a change to the model makes older rows incomparable."""

_CONSTANTS: Final = Path(__file__).parent / "constants.json"


@dataclass(frozen=True)
class Shipped:
    """The constants that are shipped.

    Attributes:
        constants: what holds for every CPU.
        error: typical relative error on a CPU that nothing was fitted on.
        fitted_on: where they are from.
        version: of the file.
    """

    constants: Constants
    error: float
    fitted_on: str
    version: int


@cache
def shipped() -> Shipped:
    """The constants in ``constants.json``."""
    document = json.loads(_CONSTANTS.read_text(encoding="utf-8"))
    constants = Constants(**{field.name: float(document[field.name]) for field in fields(Constants)})
    return Shipped(constants, float(document["error"]), str(document["fitted_on"]), int(document["version"]))


def chip_of(device: CpuDevice, dtype: str = "fp32", threads: int = 1) -> Chip:
    """A CPU at work, with its calibration where it has one.

    Raises:
        UsageError: more threads than it has cores.
        UnsupportedDtypeError: it does not compute in that number format.
    """
    if not 1 <= threads <= device.cores:
        raise UsageError(
            f"{device.name} has {device.cores} core(s), not {threads}", hint=f"give --threads 1 to {device.cores}"
        )
    flops = device.flops(dtype)
    known = device.calibration
    return Chip(
        threads=threads,
        ghz=device.ghz,
        flops_per_cycle=flops,
        lanes=device.simd_bits / DTYPES[dtype],  # type: ignore[index]  # checked by `flops`
        efficiency=device.efficiency,
        l2_bytes=1024.0 * max(device.l1_kb, device.l2_kb),
        llc_bytes=1024.0 * device.llc_kb,
        dram_gb_s=device.dram_gb_s,
        core_dram_gb_s=device.core_dram_gb_s or device.dram_gb_s,
        fork_us=device.fork_us,
        compute_factor=known.compute if known else 1.0,
        memory_factor=known.memory if known else 1.0,
    )


def constants_of(device: CpuDevice) -> Constants:
    """The shipped constants, with what an op takes on a CPU that was calibrated."""
    constants = shipped().constants
    return replace(constants, op_us=device.calibration.op_us) if device.calibration else constants


def estimate(works: Iterable[CpuWork], chip: Chip, constants: Constants) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Latencies of n works in ns, shape ``[n]``, and what most of each goes to: one of `BOUNDS`."""
    latencies_ns, bounds = cpu_sim.estimate(as_table(works), *native(chip, constants))
    return latencies_ns, tuple(BOUNDS[bound] for bound in bounds)


def native(chip: Chip, constants: Constants) -> tuple[cpu_sim.Chip, cpu_sim.Constants]:
    """A chip and constants as the compiled model takes them."""
    return cpu_sim.Chip(**asdict(chip)), cpu_sim.Constants(**asdict(constants))


def as_table(works: Iterable[CpuWork]) -> NDArray[np.float64]:
    """Works as the compiled model reads them, shape ``[n, 8]``."""
    rows = [
        (w.kind, w.flops, w.activation_bytes, w.weight_bytes, w.depth, w.outputs, w.rows, w.winograd) for w in works
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 8)
