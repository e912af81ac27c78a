"""What the model of a GPU is asked: kernels, each by its kind, number format and sizes.

Kinds, dtypes and the order of sizes are those of `csrc/gpu_sim/op.hpp`; a batch of ops is one array of integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import ShapeError, UnsupportedDtypeError
from .device import DTYPES, Dtype

OpClass = Literal["gemm", "linear", "conv", "elementwise", "softmax", "norm", "pooling", "movement"]

CLASSES: Final[tuple[OpClass, ...]] = (
    "gemm",
    "linear",
    "conv",
    "elementwise",
    "softmax",
    "norm",
    "pooling",
    "movement",
)
"""Classes of kernels that the model tells apart, in the order of their numbers."""

SIZES: Final = 14
"""How many sizes an op has; those that its class does not use are 0."""


@dataclass(frozen=True)
class GpuOp:
    """One kernel, or the few that a library launches for one call.

    Make it by the constructor of its class. Biases and activations that a product or convolution applies to its own
    result cost nothing beside it and are left out.

    Attributes:
        op_class: what it does.
        dtype: number format of the operands; fp32 means the plain lanes, tf32 tensor cores.
        sizes: as the constructor of the class orders them.
    """

    op_class: OpClass
    dtype: Dtype
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UnsupportedDtypeError(
                f"{self.dtype!r} is no number format of a GPU here", hint=f"give one of: {', '.join(DTYPES)}"
            )
        if any(size < 0 for size in self.sizes):
            raise ShapeError(f"a {self.op_class} of sizes {self.sizes}", hint="give sizes of at least 1")

    @classmethod
    def gemm(cls, m: int, n: int, k: int, *, batch: int = 1, dtype: Dtype = "fp32") -> Self:
        """``batch`` products of a matrix [m, k] and one [k, n], both activations (attention's, for example)."""
        return cls("gemm", dtype, (batch, m, n, k))

    @classmethod
    def linear(cls, m: int, n: int, k: int, *, dtype: Dtype = "fp32") -> Self:
        """A product of activations [m, k] and weights, kept as [n, k]."""
        return cls("linear", dtype, (1, m, n, k))

    @classmethod
    def conv2d(
        cls,
        batch: int,
        channels: int,
        height: int,
        width: int,
        filters: int,
        *,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        dtype: Dtype = "fp32",
    ) -> Self:
        """A convolution of [batch, channels, height, width] into ``filters`` channels.

        Args:
            batch, channels, height, width: of the input.
            filters: channels of the output.
            kernel, stride, padding, dilation: of height and width; ``padding`` on each side.
            groups: parts that channels and filters fall into; as many as channels: depthwise.
            dtype: number format.
        """
        return cls(
            "conv",
            dtype,
            (batch, channels, height, width, filters, *kernel, *stride, *padding, *dilation, groups),
        )

    @classmethod
    def elementwise(cls, elements: int, *, reads: int = 1, writes: int = 1, dtype: Dtype = "fp32") -> Self:
        """A function of each of ``elements`` positions of ``reads`` tensors, written to ``writes`` tensors."""
        return cls("elementwise", dtype, (elements, reads, writes))

    @classmethod
    def softmax(cls, rows: int, width: int, *, dtype: Dtype = "fp32") -> Self:
        """Softmax of each of ``rows`` rows of ``width`` elements."""
        return cls("softmax", dtype, (rows, width))

    @classmethod
    def norm(cls, rows: int, width: int, *, dtype: Dtype = "fp32") -> Self:
        """A norm over each of ``rows`` rows of ``width`` elements: layer norm; a group norm has a row a group."""
        return cls("norm", dtype, (rows, width))

    @classmethod
    def pooling(cls, inputs: int, outputs: int, window: int, *, dtype: Dtype = "fp32") -> Self:
        """``inputs`` elements reduced to ``outputs``, each of a window of ``window`` elements."""
        return cls("pooling", dtype, (inputs, outputs, window))

    @classmethod
    def movement(cls, bytes_read: int, bytes_written: int) -> Self:
        """Bytes that are brought elsewhere or into another order."""
        return cls("movement", "fp32", (bytes_read, bytes_written))


def encode(ops: Sequence[GpuOp]) -> NDArray[np.int64]:
    """Ops as the compiled model reads them.

    Args:
        ops: n of them.

    Returns:
        Shape ``[n, 2 + SIZES]``: class, number format, sizes.
    """
    rows = np.zeros((len(ops), 2 + SIZES), dtype=np.int64)
    for row, op in zip(rows, ops, strict=True):
        row[0] = CLASSES.index(op.op_class)
        row[1] = DTYPES.index(op.dtype)
        row[2 : 2 + len(op.sizes)] = op.sizes
    return rows
