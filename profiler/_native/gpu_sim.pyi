"""Simulated GPUs (`csrc/gpu_sim`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Model:
    """The model of one device.

    Args:
        device: sizes and rates in ns (`lutra.profiler.gpu_sim.constants.native_device`).
        constants: of every class (`native_constants`).

    Raises:
        ValueError: a device or constants that cannot be, or that lack something; says what.
    """

    def __init__(self, device: Mapping[str, Any], constants: Mapping[str, Any]) -> None: ...
    def estimate(self, ops: NDArray[np.int64], /) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Latencies in ns, and what each of n ops waits for (compute, DRAM, L2, launch), shape ``[n]`` each.

        Args:
            ops: class, number format, 14 sizes: shape ``[n, 16]``. Other threads run meanwhile.

        Raises:
            ValueError: another shape, or a row that is no op; says which.
        """
