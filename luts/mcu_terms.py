"""What the latency of an int8 layer on a microcontroller is a sum of: a few amounts of work, each at its own rate.

A convolution takes a constant, and so much for each multiply-accumulate, output, element that is unrolled into columns,
output pixel, product of a sum's last one to three, which no word of four holds, and tap of the window. On 1,407
measured convolutions of an STM32F446 that leaves 5 % of error within one kind of kernel, and 2 % with pointwise
convolutions apart (their kernels are another kind here).
"""

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..networks.lowering import Kernel

RUNTIME: Final = "mcu"
_WORD: Final = 4  # products that a kernel computes at once


def amounts_of(kernel: "Kernel") -> tuple[float, ...]:
    """The amounts of one layer; always seven, of which a layer without weights has but the first three.

    Returns:
        1, multiply-accumulates, outputs, elements unrolled into columns, output pixels, multiply-accumulates that fill
        no word, and taps of the window for each output channel.
    """
    (_, output), *_ = kernel.outputs
    weight = next((c.type.shape for name, c in kernel.constants if name.endswith(".weight")), ())
    outputs = output.numel
    if not weight:
        read = sum(type_.numel for _, type_ in kernel.inputs)
        return (1.0, float(read), float(outputs), 0.0, 0.0, 0.0, 0.0)
    channels = output.shape[-1]
    pixels = outputs // channels
    depth = math.prod(weight[1:])
    columns = pixels * depth * (channels if kernel.nodes[0].op == "depthwise" else 1)
    taps = math.prod(weight[1:-1])
    numbers = (1, kernel.macs, outputs, columns, pixels, outputs * (depth % _WORD), taps * channels)
    return tuple(float(number) for number in numbers)
