"""What trees are told of kernels, so that they learn what the factors of a calibration leave over."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ...luts.trees import BoostedTrees
from .device import DTYPES, GpuDevice
from .ops import CLASSES, SIZES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Latency = Callable[[Integers], Floats]
"""The model under the factors of a calibration: ops as `encode` gives them to latencies in ns."""

SIZE_FEATURES: Final = SIZES + 2
"""Those that every class has; calibrations of version 1 know no others."""

MOST_TILES: Final = 16
_BLOCKS: Final = ((128, 256), (256, 128), (128, 128), (64, 64), (64, 256))
"""Rows and columns of the result that a block of usual kernels computes."""

_STRIPES: Final = (64, 128, 256)
_PRODUCT_FEATURES: Final = 4 + 2 * len(_BLOCKS) + len(_STRIPES) + 2 + 4
FEATURES: Final = SIZE_FEATURES + _PRODUCT_FEATURES + MOST_TILES + 1

_PRODUCTS: Final = ("gemm", "linear")
_ELEMENT_BYTES: Final = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}

TREES: Final = 60
LEAST_LEAF: Final = 2


def residual_features(device: GpuDevice, rows: Integers, latency_ns: Floats, model: Latency, tiles: int) -> Floats:
    """What trees see of ops of one class: sizes, how they divide into tiles and waves, and the model under each tile.

    A library takes the tile that its own heuristics like; where the model would be much slower under one, measurements
    say whether the library takes it all the same.

    Args:
        device: whose multiprocessors, peaks and L2 count.
        rows: n ops as `encode` gives them, shape ``[n, 16]``.
        latency_ns: what ``model`` says of them, shape ``[n]``.
        model: the factors alone.
        tiles: how many tiles the constants of products have.

    Returns:
        Shape ``[n, FEATURES]``; 0 where a class has no such thing. The first `SIZE_FEATURES` are those of version 1.
    """
    features = np.zeros((len(rows), FEATURES))
    features[:, :SIZES] = np.log1p(rows[:, 2:])
    features[:, SIZES] = rows[:, 1]
    features[:, SIZES + 1] = np.log(latency_ns)
    if len(rows) and CLASSES[int(rows[0, 0])] in _PRODUCTS:
        end = SIZE_FEATURES + _PRODUCT_FEATURES
        features[:, SIZE_FEATURES:end] = _product_features(device, rows, latency_ns)
        under = np.log(np.stack([model(_with_tile(rows, tile)) for tile in range(1, tiles + 1)], axis=1))
        features[:, end : end + tiles] = under - np.log(latency_ns)[:, None]
        features[:, end + MOST_TILES] = under.argmin(axis=1)
    return features


def _with_tile(rows: Integers, tile: int) -> Integers:
    made = rows.copy()
    made[:, 6] = tile
    return made


def _product_features(device: GpuDevice, rows: Integers, latency_ns: Floats) -> Floats:
    batch, m, n, k = rows[:, 2:6].astype(np.float64).T
    columns = [np.log2(m * n), np.log2(m * k), np.log2(n * k), np.log2(m * n * k)]
    for height, width in _BLOCKS:
        waves = batch * np.ceil(m / height) * np.ceil(n / width) / device.sm_count
        columns += [np.log2(waves), waves / np.ceil(waves)]
    columns += [m / (stripe * np.ceil(m / stripe)) for stripe in _STRIPES]
    columns += [rows[:, 3] % 8 == 0, rows[:, 3] % 2 == 0]
    flops, dtypes = 2 * batch * m * n * k, [DTYPES[number] for number in rows[:, 1]]
    moved = batch * (m * k + k * n + m * n) * np.array([_ELEMENT_BYTES[dtype] for dtype in dtypes])
    peak = np.array([device.peak_tflops[dtype] for dtype in dtypes])
    roofline_ns = np.maximum(flops / (1e3 * peak), moved / device.bandwidth_gb_s)
    columns += [np.log2(flops / moved), np.log2(moved / (1e6 * device.l2_mb))]
    columns += [np.log(roofline_ns), np.log(latency_ns / roofline_ns)]
    return np.column_stack(columns).astype(np.float64)


@dataclass(frozen=True)
class Residual:
    """What factors leave over, as it was learned.

    Attributes:
        trees: the logarithm of measured over simulated latency, from `residual_features`.
        low, high: least and largest logarithm (to the base 2, of size + 1) of each size that was seen, shape ``[14]``.
    """

    trees: BoostedTrees
    low: Floats
    high: Floats

    @classmethod
    def learned(cls, features: Floats, log_ratios: Floats, rows: Integers) -> Self:
        """From n measured kernels.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
        """
        trees = BoostedTrees.averaged(features, log_ratios, count=TREES, least_leaf=LEAST_LEAF, seed=0)
        sizes = _log_sizes(rows)
        return cls(trees, sizes.min(axis=0), sizes.max(axis=0))

    @property
    def digest(self) -> str:
        """Tells it from others that were learned; 16 hexadecimal digits."""
        arrays = (*self.trees.arrays().values(), self.low, self.high)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]

    def factors(self, features: Floats, rows: Integers) -> Floats:
        """What the latencies of ops are to be multiplied by, shape ``[n]``.

        It halves, as a logarithm, for each doubling of a size beyond those that were seen: trees know nothing there.
        """
        sizes = _log_sizes(rows)
        beyond = np.maximum(0.0, np.maximum(self.low - sizes, sizes - self.high)).max(axis=1, initial=0.0)
        return np.asarray(np.exp(self.trees.predict(features) * 0.5**beyond), np.float64)


def _log_sizes(rows: Integers) -> Floats:
    return np.asarray(np.log2(1.0 + rows[:, 2:]), np.float64)
