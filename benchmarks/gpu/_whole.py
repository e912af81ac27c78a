"""Whole networks on the GPUs that nothing was fitted on, and what a few measured kernels make better."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lutra.profiler.gpu_sim.calibrate import calibrate
from lutra.profiler.gpu_sim.ops import GpuOp, encode

from ._data import FIT, TEST, Measured, read_ops
from ._fitting import device
from ._networks import TRANSFORMERS, kernels, measured_networks, network_errors

CALIBRATION_KERNELS: Final = (30, 500)
"""Products and linear layers each that are measured on the H100 before its networks are simulated again: a first
calibration, and one with trees for what factors leave over. None of them has the sizes of a kernel in the networks."""

_GPU: Final = "h100_sxm"
_SIZES: Final = slice(2, 6)  # of an encoded product


def measure() -> dict[str, Any]:
    """Errors of networks, blind on all GPUs; on the H100 also after calibration with some of its kernels."""
    devices = {gpu: device(gpu) for gpu in (*FIT, *TEST)}
    blind = network_errors(devices, [*FIT, *TEST])
    others = {name: _of_other_sizes(measured) for (name, _), measured in read_ops(gpus=[_GPU]).items()}
    found = {"blind": blind}
    for count in CALIBRATION_KERNELS:
        ops, latencies = [], []
        for op_class in ("gemm", "linear"):
            drawn = others[op_class].sample(count)
            latencies.append(drawn.latency_ns)
            for row in drawn.rows:
                batch, m, n, k = (int(size) for size in row[_SIZES])
                ops.append(GpuOp.gemm(m, n, k, batch=batch) if op_class == "gemm" else GpuOp.linear(m, n, k))
        eager = calibrate(devices[_GPU], ops, np.concatenate(latencies), launch="eager")
        found[f"calibrated_{count}"] = network_errors(devices, [_GPU], in_graphs(eager))
    return found


def _of_other_sizes(measured: Measured) -> Measured:
    """Measurements of products that no network on the H100 is made of."""
    sizes: set[tuple[int, ...]] = set()
    for gpu, network, batch, length, _ in measured_networks():
        if gpu == _GPU:
            made = kernels(TRANSFORMERS[network], batch, length)
            sizes |= {_sizes(row) for row in encode(made)}
    return measured.take(np.array([_sizes(row) not in sizes for row in measured.rows]))


def _sizes(row: NDArray[Any]) -> tuple[int, ...]:
    return tuple(row[_SIZES].tolist())


def in_graphs(eager: Any) -> Any:
    """Factors of kernels that a host waited for, without its floor: networks do not wait."""
    from dataclasses import replace

    parts = {name: replace(part, floor_ns=1e3 * device(_GPU).launch_us) for name, part in eager.parts.items()}
    return replace(eager, launch="graph", parts=parts)
