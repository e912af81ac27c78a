"""Whole networks on the GPUs that nothing was fitted on, and what a few measured kernels make better."""

from typing import Any, Final

import numpy as np

from lutra.profiler.gpu_sim.calibrate import calibrate
from lutra.profiler.gpu_sim.ops import GpuOp

from ._data import FIT, TEST, read_ops
from ._fitting import device
from ._networks import network_errors

CALIBRATION_KERNELS: Final = 30
"""Products and linear layers each that are measured on the H100 before its networks are simulated again."""


def measure() -> dict[str, Any]:
    """Errors of networks, blind on all GPUs; on the H100 also after calibration with a few of its kernels."""
    devices = {gpu: device(gpu) for gpu in (*FIT, *TEST)}
    blind = network_errors(devices, [*FIT, *TEST])
    ops, latencies = [], []
    for (op_class, _), measured in read_ops(gpus=["h100_sxm"]).items():
        if op_class in ("gemm", "linear"):
            drawn = measured.sample(CALIBRATION_KERNELS)
            latencies.append(drawn.latency_ns)
            for row in drawn.rows:
                batch, m, n, k = (int(size) for size in row[2:6])
                ops.append(GpuOp.gemm(m, n, k, batch=batch) if op_class == "gemm" else GpuOp.linear(m, n, k))
    eager = calibrate(devices["h100_sxm"], ops, np.concatenate(latencies), launch="eager")
    return {"blind": blind, "calibrated": network_errors(devices, ["h100_sxm"], in_graphs(eager))}


def in_graphs(eager: Any) -> Any:
    """Factors of kernels that a host waited for, without its floor: networks do not wait."""
    from dataclasses import replace

    parts = {name: replace(part, floor_ns=1e3 * device("h100_sxm").launch_us) for name, part in eager.parts.items()}
    return replace(eager, launch="graph", parts=parts)
