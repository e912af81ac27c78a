"""Simulated layers beside measured ones: how far off a board's simulation is, as it is and after one factor.

A file of measurements is a csv with a line for each layer: ``op``, ``input`` and ``output`` ("[1, 64, 30, 1]": batch,
height, width, channels), ``kernel`` and ``strides`` ("[3, 1]"), ``padding`` ("same" or "valid"), and ``cycles`` of the
core. Other columns do not matter. Layers that are no convolutions are counted and left out.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..predictors.metrics import mape, spearman

if TYPE_CHECKING:
    from ..networks.lowering import Kernel
    from ..profiler.simulation import Simulator

COLUMNS: Final = ("op", "input", "output", "kernel", "strides", "padding", "cycles")
DEPTHWISE: Final = "depthwise_conv2d"
OPS: Final = ("conv2d", DEPTHWISE)
PADDINGS: Final = ("same", "valid")

_FITTED_ON: Final = 10  # layers that the one factor is fitted on
_DRAWS: Final = 20  # choices of those layers
_LEAST: Final = 2 * _FITTED_ON
_MOST_SIZE: Final = 1 << 14


@dataclass(frozen=True)
class Measured:
    """A measured layer.

    Attributes:
        kernel: what it computes.
        cycles: that it took.
    """

    kernel: "Kernel"
    cycles: int


@dataclass(frozen=True)
class Measurements:
    """A file of measured layers.

    Attributes:
        layers: those that can be simulated.
        left_out: how many others there are, by op.
    """

    layers: tuple[Measured, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class BoardValidation:
    """How far simulated layers are off measured ones; errors are (simulated - measured) / measured.

    Attributes:
        board, engine: what was simulated.
        layers: how many were compared.
        left_out: how many others the file has, by op.
        failed: how many could not be simulated, by reason.
        bias_pct: mean error, nothing fitted.
        mape_pct: mean absolute error, nothing fitted.
        p5_pct, p95_pct: quantiles of the error, nothing fitted.
        spearman: rank correlation, which no factor changes.
        scale: measured over simulated: median over draws of the factor that ten random layers give.
        scaled_mape_pct: mean absolute error of the layers that the factor was not fitted on; mean over draws.
        scaled_p95_pct, scaled_max_pct: of the absolute errors, likewise.
    """

    board: str
    engine: str
    layers: int
    left_out: Mapping[str, int]
    failed: Mapping[str, int]
    bias_pct: float
    mape_pct: float
    p5_pct: float
    p95_pct: float
    spearman: float
    scale: float
    scaled_mape_pct: float
    scaled_p95_pct: float
    scaled_max_pct: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.board} ({self.engine}), {self.layers} measured layers [SIMULATED]",
            f"  nothing fitted: bias {self.bias_pct:+.1f} %, MAPE {self.mape_pct:.1f} %, "
            f"p5 .. p95 {self.p5_pct:+.1f} .. {self.p95_pct:+.1f} %",
            f"  one factor ({self.scale:.3f}) fitted on {_FITTED_ON} random layers, mean of {_DRAWS} draws: "
            f"MAPE {self.scaled_mape_pct:.1f} %, p95 {self.scaled_p95_pct:.1f} %, max {self.scaled_max_pct:.1f} %",
            f"  Spearman {self.spearman:.4f}",
        ]
        lines += [f"  left out: {count} x {op}" for op, count in self.left_out.items()]
        lines += [f"  failed: {count} x {reason}" for reason, count in self.failed.items()]
        return "\n".join(lines)


def read_measurements(path: Path) -> Measurements:
    """The layers of a csv file.

    Raises:
        TableFileError: the file cannot be read, a column is missing, or a line makes no sense; names line and column.
    """
    from ..networks.errors import TableFileError

    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TableFileError(path, f"cannot be read: {error}", hint="give a csv file of measured layers") from error
    reader = csv.DictReader(io.StringIO(text))
    for column in COLUMNS:
        if column not in (reader.fieldnames or ()):
            raise TableFileError(path, "is missing", column=column, hint=f"the columns are {', '.join(COLUMNS)}")
    layers: list[Measured] = []
    left_out: Counter[str] = Counter()
    for number, row in enumerate(reader, start=2):
        if row["op"] in OPS:
            layers.append(_measured(path, number, row))
        else:
            left_out[str(row["op"])] += 1
    return Measurements(tuple(layers), dict(left_out))


def _measured(path: Path, line: int, row: Mapping[str, str | None]) -> Measured:
    from ..networks.errors import ShapeError, TableFileError

    sizes = {name: _sizes(path, line, name, row[name], count) for name, count in _LENGTHS.items()}
    padding, cycles = row["padding"] or "", row["cycles"] or ""
    if padding not in PADDINGS:
        raise TableFileError(path, f"is {padding!r}", row=line, column="padding", hint=f"write {' or '.join(PADDINGS)}")
    if not (cycles.isascii() and cycles.isdecimal() and 0 < int(cycles) < 1 << 62):
        raise TableFileError(path, f"is {cycles!r}", row=line, column="cycles", hint="write a number of cycles above 0")
    try:
        kernel = _kernel(row["op"] == DEPTHWISE, sizes, padding == "same")
    except ShapeError as error:
        raise TableFileError(path, error.message, row=line, hint=error.hint) from None
    made = kernel.outputs[0][1].shape
    if made != sizes["output"]:
        raise TableFileError(path, f"is {sizes['output']}, but the layer makes {made}", row=line, column="output")
    return Measured(kernel, int(cycles))


_LENGTHS: Final = {"input": 4, "output": 4, "kernel": 2, "strides": 2}


def _sizes(path: Path, line: int, name: str, text: str | None, count: int) -> tuple[int, ...]:
    from ..networks.errors import TableFileError

    try:
        value = json.loads(text or "")
    except ValueError:
        value = None
    good = isinstance(value, list) and len(value) == count
    if not good or any(type(size) is not int or not 0 < size < _MOST_SIZE for size in value):
        raise TableFileError(path, f"is {text!r}", row=line, column=name, hint=f"write {count} sizes, such as [3, 1]")
    return tuple(value)


def _kernel(depthwise: bool, sizes: Mapping[str, tuple[int, ...]], same: bool) -> "Kernel":
    """The int8 layer of a convolution that is written as TensorFlow does."""
    from ..networks import NetworkBuilder
    from ..networks.lowering import lower

    (batch, height, width, channels), filters = sizes["input"], sizes["output"][3]
    total = [
        max((-(-size // step) - 1) * step + window - size, 0) if same else 0
        for size, window, step in zip((height, width), sizes["kernel"], sizes["strides"], strict=True)
    ]
    before = [pad // 2 for pad in total]
    b = NetworkBuilder("layer")
    x = b.input((batch, channels, height, width))
    network = b.build(
        b.op(
            "conv2d",
            x,
            out_channels=filters,
            kernel_size=sizes["kernel"],
            stride=sizes["strides"],
            padding=(*before, *(pad - first for pad, first in zip(total, before, strict=True))),
            groups=channels if depthwise else 1,
        )
    )
    return lower(network, "mcu", precision="int8").kernels[0]


def simulated_cycles(simulator: "Simulator", kernels: "Iterable[Kernel]") -> tuple[dict[str, int], dict[str, int]]:
    """Cycles of the kernels themselves, calling them not counted, by key; and how many failed, by reason."""
    from ..profiler.simulation import simulate_all

    distinct = {kernel.key: kernel for kernel in kernels}
    cycles: dict[str, int] = {}
    failed: Counter[str] = Counter()
    for row in simulate_all(simulator, distinct.values()):
        if row.status == "failed":
            failed[row.reason] += 1
        else:
            cycles[row.subject_key] = row.conditions["cycles"] - row.conditions["stalls"]["call"]
    return cycles, dict(failed)


def validate_board(simulator: "Simulator", measurements: Measurements, *, board: str, engine: str) -> BoardValidation:
    """Simulate measured layers and compare.

    Raises:
        UsageError: too few layers could be simulated to fit a factor and have some left.
    """
    from ..networks.errors import UsageError

    cycles, failed = simulated_cycles(simulator, (layer.kernel for layer in measurements.layers))
    pairs = [(m.cycles, cycles[m.kernel.key]) for m in measurements.layers if m.kernel.key in cycles]
    if len(pairs) < _LEAST:
        raise UsageError(f"{len(pairs)} layers could be simulated", hint=f"give {_LEAST} or more measured convolutions")
    measured, simulated = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    errors = simulated / measured - 1
    scales, scaled = zip(*_draws(measured, simulated), strict=True)
    return BoardValidation(
        board=board,
        engine=engine,
        layers=len(pairs),
        left_out=measurements.left_out,
        failed=failed,
        bias_pct=100 * float(errors.mean()),
        mape_pct=mape(measured, simulated),
        p5_pct=100 * float(np.quantile(errors, 0.05)),
        p95_pct=100 * float(np.quantile(errors, 0.95)),
        spearman=spearman(measured, simulated),
        scale=float(np.median(scales)),
        scaled_mape_pct=_mean_pct(scaled, np.mean),
        scaled_p95_pct=_mean_pct(scaled, lambda e: np.quantile(e, 0.95)),
        scaled_max_pct=_mean_pct(scaled, np.max),
    )


def best_scale(measured: NDArray[np.float64], simulated: NDArray[np.float64]) -> float:
    """The factor with the least sum of squared relative errors: sum of r over sum of r^2, r = simulated / measured."""
    ratios = simulated / measured
    return float(ratios.sum() / (ratios @ ratios))


def _draws(
    measured: NDArray[np.float64], simulated: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Factors of ten random layers, with the absolute relative errors of all other layers under each."""
    rng = np.random.default_rng(0)
    for _ in range(_DRAWS):
        chosen = rng.choice(len(measured), _FITTED_ON, replace=False)
        scale = best_scale(measured[chosen], simulated[chosen])
        rest = np.setdiff1d(np.arange(len(measured)), chosen)
        yield scale, np.abs(scale * simulated[rest] / measured[rest] - 1)


def _mean_pct(draws: Sequence[NDArray[np.float64]], statistic: Any) -> float:
    return 100 * float(np.mean([statistic(errors) for errors in draws]))
