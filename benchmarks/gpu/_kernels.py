"""How far simulated kernels are from measured ones: new GPUs, convolutions one GPU at a time, tensor cores, speed."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from lutra.profiler.gpu_sim.calibrate import calibrate
from lutra.profiler.gpu_sim.constants import generation_of, part_of, read_constants
from lutra.profiler.gpu_sim.device import DTYPES, GpuDevice
from lutra.profiler.gpu_sim.model import GpuModel
from lutra.profiler.gpu_sim.ops import GpuOp, encode

from .._results import note
from ._constants import BF16, bf16_products, fit_conv, fit_tensor
from ._data import TEST, Floats, Integers, Measured, read_ops
from ._fitting import device, estimate, floors, mape
from ._start import start

MOST: Final = 3000
CONV_GPUS: Final = ("p4", "p100_pcie_16gb", "v100_pcie_32gb", "t4", "a100_pcie_80gb")
CALIBRATION_SAMPLES: Final = 500


def roofline(measured: Measured, gpu: GpuDevice) -> Floats:
    """The time that peak arithmetic or bandwidth would take, whichever is more, ns, shape ``[n]``."""
    sizes = measured.rows[:, 2:].astype(np.float64)
    element = {"fp32": 4, "tf32": 4}.get(DTYPES[int(measured.rows[0, 1])], 2)
    if measured.op_class in ("gemm", "linear"):
        b, m, n, k = sizes[:, :4].T
        flops, numbers = 2 * b * m * n * k, b * (m * k + k * n + m * n)
    elif measured.op_class == "conv":
        b, c, h, w, f, kh, kw = sizes[:, :7].T
        flops, numbers = 2 * b * f * h * w * c * kh * kw, b * c * h * w + f * c * kh * kw + b * f * h * w
    elif measured.op_class == "elementwise":
        flops, numbers = sizes[:, 0], sizes[:, 0] * (sizes[:, 1] + sizes[:, 2])
    else:
        flops, numbers = sizes[:, 0] * sizes[:, 1], 2 * sizes[:, 0] * sizes[:, 1]
    peak = gpu.peak_tflops[DTYPES[int(measured.rows[0, 1])]]
    return np.asarray(np.maximum(flops / (1e3 * peak), element * numbers / gpu.bandwidth_gb_s), np.float64)


def errors(measured: Measured, gpu: GpuDevice) -> dict[str, float]:
    """Errors of the constants that ship, blind, and of a roofline, %."""
    parts = generation_of(read_constants(), gpu)["parts"]
    part = part_of(measured.op_class, DTYPES[int(measured.rows[0, 1])], gpu)
    latency = estimate(parts, part, measured, gpu=gpu)
    ratio = latency / measured.latency_ns
    return {
        "rows": float(len(measured)),
        "mape_pct": mape(latency, measured.latency_ns),
        "median_pct": float(100 * np.median(np.abs(ratio - 1))),
        "bias_pct": float(100 * (np.median(ratio) - 1)),
        "roofline_pct": mape(roofline(measured, gpu), measured.latency_ns),
    }


def measure_new_gpus() -> dict[str, Any]:
    """Of the GPUs that nothing was fitted on, by class."""
    made: dict[str, Any] = {}
    for (op_class, gpu), measured in read_ops(gpus=TEST).items():
        chosen = measured.of_split("test") if op_class != "conv" else measured
        made.setdefault(op_class, {})[gpu] = errors(chosen.sample(MOST), device(gpu))
    return made


def measure_conv() -> dict[str, Any]:
    """Convolutions of each GPU by constants that were fitted on the others."""
    ops = {key: found for key, found in read_ops(gpus=CONV_GPUS).items() if key[0] == "conv"}
    floor = floors(list(ops.values()), 0.001)
    made = {}
    for out in CONV_GPUS:
        parts = fit_conv(start(), ops, [gpu for gpu in CONV_GPUS if gpu != out], most=30)
        measured = ops["conv", out].sample(MOST)
        unseen = float(np.median([value for gpu, value in floor.items() if gpu != out]))
        latency = estimate(parts, "conv.simt", measured, floor_ns=unseen)
        made[out] = {
            "mape_pct": mape(latency, measured.latency_ns),
            "roofline_pct": mape(roofline(measured, device(out)), measured.latency_ns),
        }
        note(f"  {out}: {made[out]}")
    return made


def measure_tensor() -> dict[str, Any]:
    """bf16 products of each GPU by constants fitted on the other architectures, blind and with samples of its own."""
    products = bf16_products()
    made = {}
    for out in BF16:
        parts = fit_tensor(start(), [products[gpu] for gpu in BF16 if gpu != out])
        constants = {"generations": [{"capability": 0.0, "gddr_efficiency": 0.84, "parts": parts}]}
        rng = np.random.default_rng(0)
        drawn = products[out].take(rng.permutation(len(products[out])))
        own, rest = drawn.take(np.arange(CALIBRATION_SAMPLES)), drawn.take(np.arange(CALIBRATION_SAMPLES, 5500))
        ops = [GpuOp.linear(*(int(size) for size in row[3:6]), dtype="bf16") for row in own.rows]
        fitted = calibrate(device(out), ops, own.latency_ns, constants=constants)
        asked = [GpuOp.linear(*(int(size) for size in row[3:6]), dtype="bf16") for row in rest.rows]
        blind = GpuModel(device(out), constants=constants).estimate(asked).latency_ns
        answers = GpuModel(device(out), constants=constants, calibration=fitted).estimate(asked)
        inside = (answers.low_ns <= rest.latency_ns) & (rest.latency_ns <= answers.high_ns)
        made[out] = {
            "blind_pct": mape(blind, rest.latency_ns),
            "calibrated_pct": mape(answers.latency_ns, rest.latency_ns),
            "band_holds_pct": float(100 * inside.mean()),
            "roofline_pct": mape(roofline(rest, device(out)), rest.latency_ns),
        }
        note(f"  {out}: {made[out]}")
    return made


def measure_speed() -> dict[str, Any]:
    """Millions of kernels a second on one core, by class."""
    model = GpuModel(device("h100_sxm"))
    made = {}
    for name, rows in _speed_rows().items():
        rates = []
        for _ in range(5):
            begun = time.thread_time()
            model.estimate_encoded(rows)
            rates.append(len(rows) / (time.thread_time() - begun) / 1e6)
        made[name] = float(np.median(rates))
    made["mixed"] = 1 / float(np.mean([1 / rate for rate in made.values()]))
    return made


def _speed_rows(count: int = 100_000) -> Mapping[str, Integers]:
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(np.log(16), np.log(4096), (count, 4))).astype(np.int64)
    made = {}
    for op in (
        GpuOp.gemm(1, 1, 1),
        GpuOp.linear(1, 1, 1),
        GpuOp.linear(1, 1, 1, dtype="bf16"),
        GpuOp.conv2d(8, 64, 56, 56, 64, kernel=(3, 3), padding=(1, 1)),
        GpuOp.elementwise(1),
        GpuOp.softmax(1, 1),
        GpuOp.norm(1, 1),
    ):
        rows = np.repeat(encode([op]), count, axis=0)
        if op.op_class in ("gemm", "linear"):
            rows[:, 3:6] = sizes[:, :3]
        elif op.op_class == "conv":
            rows[:, 3], rows[:, 6] = sizes[:, 0], sizes[:, 1]
        else:
            rows[:, 2 : 2 + (1 if op.op_class == "elementwise" else 2)] = sizes[
                :, : 1 if op.op_class == "elementwise" else 2
            ]
        made[f"{op.op_class} {op.dtype}"] = rows
    return made


def table(path: str, gpu: GpuDevice, splits: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Errors by class of any file of that shape on a GPU; all of its rows whose column ``gpu`` has the GPU's name."""
    made = {}
    for (op_class, name), measured in read_ops(path, gpus=[gpu.name]).items():
        chosen = measured if not splits else measured.take(np.isin(measured.split, list(splits)))
        if len(chosen):
            made[f"{name} {op_class}"] = errors(chosen, gpu)
    return made
