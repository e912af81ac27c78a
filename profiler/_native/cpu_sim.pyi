"""Analytic model of CPUs (`csrc/cpu_sim`)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

class Chip:
    def __init__(
        self,
        *,
        threads: int,
        ghz: float,
        flops_per_cycle: float,
        lanes: float,
        efficiency: float,
        l2_bytes: float,
        llc_bytes: float,
        dram_gb_s: float,
        core_dram_gb_s: float,
        fork_us: float,
        compute_factor: float = 1.0,
        memory_factor: float = 1.0,
    ) -> None: ...

class Constants:
    def __init__(
        self,
        *,
        depthwise: float,
        pool: float,
        pointwise: float,
        depth_half: float,
        rows_half: float,
        winograd: float,
        l2_bytes_per_cycle: float,
        llc_bytes_per_cycle: float,
        dram_share: float,
        op_us: float,
    ) -> None: ...

def estimate(works: ArrayLike, chip: Chip, constants: Constants) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Latencies in ns and what bounds them (0 compute, 1 L2, 2 shared cache, 3 memory, 4 launch), shape ``[n]`` each.

    `works` is ``[n, 8]``: kind, flops, activation bytes, weight bytes, depth, outputs, rows, winograd.

    Raises `ValueError` for impossible numbers.
    """
