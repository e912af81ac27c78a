"""What every kind of op computes, in numpy, to the last bit: the plain twin that the firmware is tested against.

Integer arithmetic is TensorFlow Lite's (arXiv:1712.05877, sections 2.2 to 2.4): int32 sums, and a rescaling by a Q31
multiplier and a power of two that rounds twice (gemmlowp's SaturatingRoundingDoublingHighMul, RoundingDivideByPOT).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .geometry import DEPTHWISE, Geometry
from .operands import Int8, Operands

Int64 = NDArray[np.int64]

_ADD_LEFT_SHIFT: Final = 20


def compute(op: Geometry, operands: Operands) -> Int8:
    """The output of an op, [out_h, out_w, out_c]; of a concat only the channels that its input fills."""
    return _COMPUTE[op.kind](op, operands).astype(np.int8)


def requantise(sums: NDArray[Any], multiplier: NDArray[Any] | int, shift: NDArray[Any] | int) -> Int64:
    """round(round(sums * 2^left * multiplier / 2^31) / 2^right): halves upwards, then halves away from zero.

    Args:
        sums: int32 values.
        multiplier: Q31, in [2^30, 2^31).
        shift: positive is left.
    """
    exponent = np.asarray(shift, np.int64)
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    shifted = (np.asarray(sums, np.int64) << left).astype(np.int32).astype(np.int64)
    high = (shifted * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    mask = (np.int64(1) << right) - 1
    quotient = high >> right
    return quotient + ((high & mask) > (mask >> 1) + (quotient < 0))


def _finish(op: Operands, sums: Int64, multiplier: NDArray[Any] | int, shift: NDArray[Any] | int) -> Int64:
    scaling = op.scaling
    scaled = requantise(sums, multiplier, shift) + scaling.output_offset
    return np.clip(scaled, scaling.activation_min, scaling.activation_max)


def _padded(op: Geometry, image: Int64, fill: int) -> Int64:
    """The image inside all that a window reaches."""
    rows = max(op.pad_top + op.in_h, (op.out_h - 1) * op.stride_h + op.kernel_h)
    columns = max(op.pad_left + op.in_w, (op.out_w - 1) * op.stride_w + op.kernel_w)
    padded = np.full((rows, columns, op.in_c), fill, np.int64)
    padded[op.pad_top : op.pad_top + op.in_h, op.pad_left : op.pad_left + op.in_w] = image
    return padded


def _windows(op: Geometry, image: Int64, fill: int) -> Int64:
    """[out_h, out_w, in_c, kernel_h, kernel_w]: what lies under the window of each output pixel."""
    views = np.lib.stride_tricks.sliding_window_view(_padded(op, image, fill), (op.kernel_h, op.kernel_w), axis=(0, 1))
    return views[:: op.stride_h, :: op.stride_w][: op.out_h, : op.out_w]


def _convolution(op: Geometry, operands: Operands) -> Int64:
    windows = _windows(op, operands.input.astype(np.int64) + operands.scaling.input_offset, 0)
    weights = operands.weights.astype(np.int64)
    if op.kind in DEPTHWISE:
        by_channel = "hwc" if op.kind == "depthwise" else "chw"
        sums = np.einsum(f"yxchw,{by_channel}->yxc", windows, weights)
    else:
        grouped = windows.reshape(op.out_h, op.out_w, op.groups, -1, op.kernel_h, op.kernel_w)
        filters = weights.reshape(op.groups, -1, op.kernel_h, op.kernel_w, op.in_c // op.groups)
        sums = np.einsum("yxgchw,gohwc->yxgo", grouped, filters).reshape(op.out_h, op.out_w, op.out_c)
    return _finish(operands, sums + operands.bias, operands.multiplier, operands.shift)


def _fully_connected(op: Geometry, operands: Operands) -> Int64:
    values = operands.input.astype(np.int64).reshape(op.in_c) + operands.scaling.input_offset
    sums = operands.weights.astype(np.int64) @ values + operands.bias
    scaling = operands.scaling
    return _finish(operands, sums, scaling.output_multiplier, scaling.output_shift).reshape(1, 1, op.out_c)


def _rounded_mean(sums: Int64, count: Int64) -> Int64:
    """Halves away from zero."""
    magnitude: Int64 = (np.abs(sums) + count // 2) // count
    return np.sign(sums) * magnitude


def _average(op: Geometry, operands: Operands) -> Int64:
    image = operands.input.astype(np.int64)
    sums = _windows(op, image, 0).sum((-2, -1))
    count = _windows(op, np.ones_like(image), 0).sum((-2, -1))
    return np.clip(_rounded_mean(sums, count), operands.scaling.activation_min, operands.scaling.activation_max)


def _maximum(op: Geometry, operands: Operands) -> Int64:
    largest: Int64 = _windows(op, operands.input.astype(np.int64), -128).max((-2, -1))
    return np.clip(largest, operands.scaling.activation_min, operands.scaling.activation_max)


def _mean(op: Geometry, operands: Operands) -> Int64:
    sums = (operands.input.astype(np.int64) + operands.scaling.input_offset).sum((0, 1))
    scaling = operands.scaling
    return _finish(operands, sums, scaling.output_multiplier, scaling.output_shift).reshape(1, 1, op.out_c)


def _add(_op: Geometry, operands: Operands) -> Int64:
    scaling = operands.scaling
    first = (operands.input.astype(np.int64) + scaling.input_offset) << _ADD_LEFT_SHIFT
    second = (operands.input2.astype(np.int64) + scaling.input2_offset) << _ADD_LEFT_SHIFT
    sums = requantise(first, scaling.input_multiplier, scaling.input_shift) + requantise(
        second, scaling.input2_multiplier, scaling.input2_shift
    )
    return _finish(operands, sums, scaling.output_multiplier, scaling.output_shift)


def _table(_op: Geometry, operands: Operands) -> Int64:
    return operands.weights.astype(np.int64)[operands.input.astype(np.int64) + 128]


def _softmax(_op: Geometry, operands: Operands) -> Int64:
    image = operands.input.astype(np.int64)
    exponentials = operands.weights.astype(np.int64)[image.max(-1, keepdims=True) - image]
    sums = exponentials.sum(-1, keepdims=True)
    shares: Int64 = (exponentials * 256 + sums // 2) // sums
    return np.minimum(shares, 255) - 128


def _concat(_op: Geometry, operands: Operands) -> Int64:
    return operands.input.astype(np.int64)


def _channel_shuffle(op: Geometry, operands: Operands) -> Int64:
    image = operands.input.astype(np.int64)
    return image.reshape(op.in_h, op.in_w, op.groups, -1).swapaxes(2, 3).reshape(image.shape)


def _pad(op: Geometry, operands: Operands) -> Int64:
    padded = np.full((op.out_h, op.out_w, op.out_c), -operands.scaling.input_offset, np.int64)
    padded[op.pad_top : op.pad_top + op.in_h, op.pad_left : op.pad_left + op.in_w, : op.in_c] = operands.input
    return padded


_COMPUTE: Final[Mapping[str, Callable[[Geometry, Operands], Int64]]] = {
    "conv2d": _convolution,
    "conv2d_3x3": _convolution,
    "conv2d_first": _convolution,
    "pointwise": _convolution,
    "depthwise": _convolution,
    "depthwise_chw": _convolution,
    "grouped_conv2d": _convolution,
    "fully_connected": _fully_connected,
    "avg_pool": _average,
    "global_pool": _average,
    "max_pool": _maximum,
    "mean": _mean,
    "add": _add,
    "table": _table,
    "softmax": _softmax,
    "concat": _concat,
    "channel_shuffle": _channel_shuffle,
    "pad": _pad,
}
