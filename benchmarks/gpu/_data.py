"""Measured latencies of kernels on GPUs, as ops of the model.

Reads any file of the columns of ``gpu/neusight_ops.parquet``: op, gpu, split, b, m, n, k, h, cin, cout, ksize, hw,
stride, pad, latency_ms and, where the kernels that ran are known, grid_x, grid_y, grid_z, tile_a, tile_b, kernel.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from lutra.profiler.gpu_sim.ops import CLASSES, SIZES, OpClass

from ..facts import SHARED
from ._start import SIMT_TILES

GPU: Final = SHARED / "gpu"
FIT: Final = ("p4", "p100_pcie_16gb", "v100_pcie_32gb", "t4", "a100_pcie_40gb")
"""GPUs that constants may be fitted on."""

TEST: Final = ("a100_pcie_80gb", "h100_sxm")

_TWO_INPUTS: Final = ("add", "sub", "mul", "div", "pow")
_ONE_INPUT: Final = ("addu", "divu", "mulu", "powu", "relu", "tanh", "gelu")
_CLASS_OF: Final[dict[str, OpClass]] = {
    "bmm": "gemm",
    "linear": "linear",
    "conv": "conv",
    "softmax": "softmax",
    "ln": "norm",
    **dict.fromkeys((*_TWO_INPUTS, *_ONE_INPUT), "elementwise"),
}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """n kernels of one class that were measured on one GPU.

    Attributes:
        op_class: class of all of them.
        gpu: name of its description.
        rows: ops as `encode` gives them, tile and split left to be chosen, shape ``[n, 16]``.
        latency_ns: shape ``[n]``.
        tiles: of matrix products, tile (from 1, in the order of `SIMT_TILES`; 0: not known) and parts of k: ``[n, 2]``.
        split: which part of the data each is of ("train", "test", ""), shape ``[n]``.
        names: name of the operation in the data, shape ``[n]``.
    """

    op_class: OpClass
    gpu: str
    rows: Integers
    latency_ns: Floats
    tiles: Integers
    split: NDArray[np.str_]
    names: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[Any]) -> Self:
        """Those of an index or mask."""
        return replace(
            self,
            rows=self.rows[chosen],
            latency_ns=self.latency_ns[chosen],
            tiles=self.tiles[chosen],
            split=self.split[chosen],
            names=self.names[chosen],
        )

    def sample(self, most: int, seed: int = 0) -> Self:
        """At most so many, drawn without replacement."""
        if len(self) <= most:
            return self
        return self.take(np.random.default_rng(seed).permutation(len(self))[:most])

    def balanced(self, count: int, seed: int = 0) -> Self:
        """So many, half of them of the part "test" if there is one: sizes of real networks, which are few."""
        test, rest = np.flatnonzero(self.split == "test"), np.flatnonzero(self.split != "test")
        if not len(test) or not len(rest):
            return self.sample(count, seed)
        rng = np.random.default_rng(seed)
        halves = [rng.choice(half, count // 2, replace=len(half) < count // 2) for half in (test, rest)]
        return self.take(np.concatenate(halves))

    def of_split(self, name: str) -> Self:
        """Those of one part of the data."""
        return self.take(self.split == name)

    def with_tiles(self) -> Integers:
        """Rows whose tile and split are the ones that ran."""
        rows = self.rows.copy()
        rows[:, 6:8] = self.tiles
        return rows


def read_ops(
    path: str | os.PathLike[str] = GPU / "neusight_ops.parquet", *, gpus: Sequence[str] | None = None
) -> dict[tuple[OpClass, str], Measured]:
    """Kernels by class and GPU; only of ``gpus``, if given: others are not even looked at."""
    table = pyarrow.parquet.read_table(path)
    if gpus is not None:
        table = table.filter(pc.is_in(pc.cast(table["gpu"], "string"), pyarrow.array(list(gpus))))
    columns = {name: _column(table[name]) for name in table.column_names}
    found = {}
    for gpu in sorted(set(columns["gpu"])):
        for op_class in dict.fromkeys(_CLASS_OF.values()):
            ops = [name for name, known in _CLASS_OF.items() if known == op_class]
            chosen = (columns["gpu"] == gpu) & np.isin(columns["op"], ops)
            if chosen.any():
                found[op_class, str(gpu)] = _measured(op_class, str(gpu), {k: v[chosen] for k, v in columns.items()})
    return found


def _column(column: Any) -> NDArray[Any]:
    if pyarrow.types.is_dictionary(column.type) or pyarrow.types.is_string(column.type):
        return np.array(pc.fill_null(pc.cast(column, "string"), "").to_pylist(), dtype=np.str_)
    return np.asarray(pc.fill_null(pc.cast(column, "float64"), 0.0).to_numpy(), np.float64)


def _measured(op_class: OpClass, gpu: str, columns: Mapping[str, NDArray[Any]]) -> Measured:
    count = len(columns["op"])
    rows = np.zeros((count, 2 + SIZES), np.int64)
    rows[:, 0] = CLASSES.index(op_class)
    for index, values in enumerate(_sizes(op_class, columns)):
        rows[:, 2 + index] = values
    return Measured(
        op_class=op_class,
        gpu=gpu,
        rows=rows,
        latency_ns=columns["latency_ms"] * 1e6,
        tiles=_tiles(op_class, columns) if "tile_a" in columns else np.zeros((count, 2), np.int64),
        split=columns.get("split", np.full(count, "")),
        names=columns["op"],
    )


def _sizes(op_class: OpClass, columns: Mapping[str, NDArray[Any]]) -> Iterator[Any]:
    if op_class in ("gemm", "linear"):
        yield from (columns[name] for name in ("b", "m", "n", "k"))
    elif op_class == "conv":
        image, kernel, stride, pad = (columns[name] for name in ("hw", "ksize", "stride", "pad"))
        yield from (columns["b"], columns["cin"], image, image, columns["cout"], kernel, kernel, stride, stride)
        yield from (pad, pad, 1, 1, 1)
    elif op_class == "elementwise":
        yield from (columns["b"] * columns["h"], 1 + np.isin(columns["op"], _TWO_INPUTS), 1)
    else:
        yield from (columns["b"], columns["h"])


def _tiles(op_class: OpClass, columns: Mapping[str, NDArray[Any]]) -> Integers:
    made = np.zeros((len(columns["op"]), 2), np.int64)
    if op_class not in ("gemm", "linear"):
        return made
    a, b = columns["tile_a"], columns["tile_b"]
    sliced = np.char.find(columns["kernel"], "sliced") >= 0
    for number, (name, sizes) in enumerate(SIMT_TILES.items(), start=1):
        made[(a == sizes[0]) & (b == sizes[1]) & (sliced == name.endswith("s")), 0] = number
    known = made[:, 0] > 0
    tiles = np.ceil(columns["n"] / np.maximum(a, 1)) * np.ceil(columns["m"] / np.maximum(b, 1))
    grid = columns["grid_x"] * columns["grid_y"] * columns["grid_z"]
    split = np.maximum(1, np.rint(grid / np.maximum(tiles, 1))) if op_class == "linear" else np.ones(len(made))
    made[known, 1] = split[known]
    return made
