"""Sizes of an int8 layer that decide how long it takes and what buffers it needs."""

import math

from ...networks.lowering import Kernel
from ...networks.lowering.mcu import image_of


def padded_channel_bytes(kernel: Kernel) -> int:
    """One channel of a convolution's input with its border, a byte an element."""
    height, width, _ = image_of(kernel.inputs[0][1])
    top, left, bottom, right = ints(kernel, "padding")
    return (height + top + bottom) * (width + left + right)


def columns_bytes(kernel: Kernel) -> int:
    """Two columns of an unrolled image in 16 bits, as matrix products of DSP instructions read them."""
    return 2 * 2 * taps_of(kernel)


def taps_of(kernel: Kernel) -> int:
    """Products that are added up for one output of a convolution or fully connected layer."""
    weight = next(c.type.shape for name, c in kernel.constants if name.endswith(".weight"))
    return math.prod(weight[1:])


def ints(kernel: Kernel, name: str) -> tuple[int, ...]:
    """An attribute of a layer that is an integer or a list of integers."""
    value = dict(kernel.nodes[0].attrs)[name]
    return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)
