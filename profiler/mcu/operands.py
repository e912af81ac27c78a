"""Values of an op: tensors and quantisation, made at random where only the shapes are known.

The time of an integer kernel hardly depends on its values, so that random ones serve for timing as well as for tests.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .geometry import CONVOLUTIONS, Geometry

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class Scaling:
    """The quantisation of an op that is the same for all channels: the names are those of `struct lutra_op`."""

    input_offset: int = 0
    output_offset: int = 0
    activation_min: int = -128
    activation_max: int = 127
    input2_offset: int = 0
    input_multiplier: int = 0
    input_shift: int = 0
    input2_multiplier: int = 0
    input2_shift: int = 0
    output_multiplier: int = 0
    output_shift: int = 0


def _none() -> Int8:
    return np.zeros(0, np.int8)


def _no_numbers() -> Int32:
    return np.zeros(0, np.int32)


@dataclass(frozen=True)
class Operands:
    """Everything that an op reads. What a kind has no use for is empty.

    Attributes:
        input: [in_h, in_w, in_c].
        input2: the second summand, of the same shape.
        weights: as the firmware reads them: [out_c, kernel_h, kernel_w, in_c / groups] of a convolution,
            [kernel_h, kernel_w, c] of depthwise, [c, kernel_h, kernel_w] of depthwise_chw, [out_c, in_c] of
            fully_connected, the 256 int8 of a table, the 256 uint32 of a softmax.
        bias, multiplier, shift: [out_c] int32.
        scaling: what is the same for all channels.
    """

    input: Int8
    input2: Int8 = field(default_factory=_none)
    weights: NDArray[np.int8] | NDArray[np.uint32] = field(default_factory=_none)
    bias: Int32 = field(default_factory=_no_numbers)
    multiplier: Int32 = field(default_factory=_no_numbers)
    shift: Int32 = field(default_factory=_no_numbers)
    scaling: Scaling = field(default_factory=Scaling)


def weight_shape(op: Geometry) -> tuple[int, ...]:
    """The shape of the int8 weights in memory; empty where the op has none."""
    if op.kind == "depthwise":
        return op.kernel_h, op.kernel_w, op.out_c
    if op.kind == "depthwise_chw":
        return op.out_c, op.kernel_h, op.kernel_w
    if op.kind == "fully_connected":
        return op.out_c, op.in_c
    if op.kind in CONVOLUTIONS:
        return op.out_c, op.kernel_h, op.kernel_w, op.in_c // op.groups
    return (0,)


def softmax_table(step: float) -> NDArray[np.uint32]:
    """round(2^20 * exp(-step * d)) for d = 0..255: ``step`` is beta times the scale of the input."""
    exponentials: NDArray[np.float64] = np.rint(2.0**20 * np.exp(-step * np.arange(256)))
    return exponentials.astype(np.uint32)


def random_operands(op: Geometry, rng: np.random.Generator) -> Operands:
    """Values whose outputs spread over the range of int8.

    Args:
        op: the shapes.
        rng: where the values come from.
    """
    shape = (op.in_h, op.in_w, op.in_c)
    image = _bytes(rng, shape)
    if op.kind in CONVOLUTIONS:
        return Operands(
            image,
            weights=_bytes(rng, weight_shape(op)),
            bias=rng.integers(-2000, 2000, op.out_c, dtype=np.int32),
            multiplier=_multipliers(rng, op.out_c),
            shift=(-_spread_bits(op.depth) + rng.integers(0, 2, op.out_c)).astype(np.int32),
            scaling=_clamped(rng),
        )
    if op.kind == "fully_connected":
        scaling = _clamped(rng, multiplier=int(_multipliers(rng, 1)[0]), shift=-_spread_bits(op.depth))
        bias = rng.integers(-2000, 2000, op.out_c, dtype=np.int32)
        return Operands(image, weights=_bytes(rng, weight_shape(op)), bias=bias, scaling=scaling)
    if op.kind == "mean":
        pixels = (op.in_h * op.in_w).bit_length()
        return Operands(image, scaling=_clamped(rng, multiplier=int(_multipliers(rng, 1)[0]), shift=-pixels))
    if op.kind == "add":
        return Operands(image, input2=_bytes(rng, shape), scaling=_summands(rng))
    if op.kind == "table":
        return Operands(image, weights=_bytes(rng, (256,)))
    if op.kind == "softmax":
        return Operands(image, weights=softmax_table(float(rng.uniform(0.01, 0.5))))
    if op.kind == "pad":
        return Operands(image, scaling=Scaling(input_offset=int(rng.integers(-127, 129))))
    return Operands(image)


def _bytes(rng: np.random.Generator, shape: tuple[int, ...]) -> Int8:
    return rng.integers(-128, 128, shape, dtype=np.int8)


def _multipliers(rng: np.random.Generator, count: int) -> Int32:
    return rng.integers(1 << 30, (1 << 31) - 1, count, dtype=np.int32)


def _spread_bits(depth: int) -> int:
    """The shift that brings a sum of ``depth`` products of random bytes to about the range of int8."""
    return 7 + (max(1, depth).bit_length() + 1) // 2


def _clamped(rng: np.random.Generator, *, multiplier: int = 0, shift: int = 0) -> Scaling:
    return Scaling(
        input_offset=int(rng.integers(-127, 129)),
        output_offset=int(rng.integers(-128, 128)),
        activation_min=int(rng.integers(-128, -64)),
        activation_max=int(rng.integers(64, 128)),
        output_multiplier=multiplier,
        output_shift=shift,
    )


def _summands(rng: np.random.Generator) -> Scaling:
    """The output shift takes back the 20 bits that the summands are shifted up by."""
    first, second, both = (int(value) for value in _multipliers(rng, 3))
    return Scaling(
        input_offset=int(rng.integers(-127, 129)),
        output_offset=int(rng.integers(-128, 128)),
        input2_offset=int(rng.integers(-127, 129)),
        input_multiplier=first,
        input_shift=-int(rng.integers(0, 3)),
        input2_multiplier=second,
        input2_shift=-int(rng.integers(0, 3)),
        output_multiplier=both,
        output_shift=-19,
    )
