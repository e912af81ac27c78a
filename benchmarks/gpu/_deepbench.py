"""DeepBench's fp32 products and convolutions on ten GPUs of other makers, libraries and years; nothing is fitted."""

import csv
from typing import Any, Final

import numpy as np

from lutra.profiler import _native
from lutra.profiler.gpu_sim.constants import generation_of, native_constants, native_device, read_constants
from lutra.profiler.gpu_sim.device import GpuDevice
from lutra.profiler.gpu_sim.ops import CLASSES, SIZES

from ._data import GPU, Floats, Integers
from ._fitting import device, mape

_LAUNCH_NS: Final = 5000.0  # kernels that a host launches one after another without waiting

# multiprocessors, MHz, TFLOPS, GB/s, HBM, L2 in MB, W, nm, compute capability whose kernels are most alike
_OTHERS: Final = {
    "M40": (24, 1114, 6.84, 288, False, 3, 250, 28, 6.0),
    "TitanX": (24, 1075, 6.6, 336.5, False, 3, 250, 28, 6.0),
    "TitanX_Pascal": (28, 1531, 10.97, 480, False, 3, 250, 16, 6.1),
    "TitanXp": (30, 1582, 12.15, 547.6, False, 3, 250, 16, 6.1),
    "1080Ti": (28, 1582, 11.34, 484, False, 2.75, 250, 16, 6.1),
    "AMD_MI25": (64, 1500, 12.29, 484, True, 4, 300, 14, 6.0),
    "AMD_VegaFE": (64, 1600, 13.1, 483, True, 4, 300, 14, 6.0),
}
_SHIPPED: Final = {"P100": "p100_pcie_16gb", "T4": "t4", "V100": "v100_pcie_32gb"}
GPUS: Final = (*_SHIPPED, *_OTHERS)


def _model(name: str) -> tuple[Any, Floats]:
    """The compiled model of a GPU, and its fp32 peak and bandwidth in FLOP/ns and bytes/ns."""
    like: GpuDevice = device(_SHIPPED.get(name, "p100_pcie_16gb"))
    generation = generation_of(read_constants(), like)
    native = native_device(like, gddr_efficiency=generation["gddr_efficiency"])
    peaks = np.array([native["peak"][0], float(like.bandwidth_gb_s)])
    if name in _OTHERS:
        sms, mhz, tflops, bandwidth, hbm, l2_mb, tdp_w, node_nm, capability = _OTHERS[name]
        peaks = np.array([1e3 * tflops, float(bandwidth)])
        native |= {
            "sm_count": float(sms),
            "clock_ghz": mhz / 1e3,
            "bandwidth": bandwidth * (1.0 if hbm else generation["gddr_efficiency"]),
            "l2_bytes": 1e6 * l2_mb,
            "l2_partitions": 1.0,
            "tdp_w": float(tdp_w),
            "node_nm": float(node_nm),
            "capability": float(capability),
            "peak": [1e3 * tflops, *[0.0] * 5],
        }
    native["launch_ns"] = _LAUNCH_NS
    return _native.gpu_sim.Model(native, native_constants(generation["parts"], "graph")), peaks


def _rows(kind: str, name: str) -> tuple[Integers, Floats]:
    with (GPU / f"deepbench_{kind}.csv").open(encoding="utf-8") as stream:
        found = [row for row in csv.DictReader(stream) if row["device"] == name and row["dtype"] == "float32"]
    found = [row for row in found if row["latency_ms"] and float(row["latency_ms"]) > 0]
    rows: Integers = np.zeros((len(found), 2 + SIZES), np.int64)
    for row, one in zip(rows, found, strict=True):
        if kind == "gemm":  # column-major: rows of theirs are columns of ours
            row[0] = CLASSES.index("linear")
            row[2:6] = 1, int(one["N"]), int(one["M"]), int(one["K"])
        else:
            row[0] = CLASSES.index("conv")
            names = ("N", "C", "H", "W", "K", "R", "S", "stride_h", "stride_w", "pad_h", "pad_w")
            row[2:13] = [int(float(one[key])) for key in names]
            row[13:16] = 1
    return rows, np.array([float(one["latency_ms"]) * 1e6 for one in found])


def _roofline(kind: str, rows: Integers, peaks: Floats) -> Floats:
    sizes = rows[:, 2:].astype(np.float64)
    if kind == "gemm":
        _, m, n, k = sizes[:, :4].T
        flops, numbers = 2 * m * n * k, m * k + k * n + m * n
    else:
        b, c, h, w, f, kh, kw, sh, sw, ph, pw = sizes[:, :11].T
        out = b * f * np.floor((h + 2 * ph - kh) / sh + 1) * np.floor((w + 2 * pw - kw) / sw + 1)
        flops, numbers = 2 * out * c * kh * kw, b * c * h * w + f * c * kh * kw + out
    return np.asarray(np.maximum(flops / peaks[0], 4 * numbers / peaks[1]), np.float64)


def measure() -> dict[str, Any]:
    """Errors by kind and GPU, %."""
    made: dict[str, Any] = {}
    for kind in ("gemm", "conv"):
        made[kind] = {}
        for name in GPUS:
            rows, measured = _rows(kind, name)
            model, peaks = _model(name)
            latency = model.estimate(rows)[0]
            made[kind][name] = {
                "rows": len(rows),
                "mape_pct": mape(latency, measured),
                "median_pct": float(100 * np.median(np.abs(latency / measured - 1))),
                "roofline_pct": mape(_roofline(kind, rows, peaks), measured),
            }
    return made
