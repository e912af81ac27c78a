"""NAS-Bench-201's networks (arXiv:2001.00326, section 2): one searched cell, stacked 3 x 5 times."""

import random
from functools import lru_cache
from itertools import product

from ..blocks import NASBENCH201_OPS, conv_norm_act, nasbench201_cell, parse_nasbench201
from ..blocks.cells import nasbench201_string, relu_conv_norm
from ..errors import UsageError
from ..graph import NetworkBuilder
from ._head import classifier
from ._registry import positive_int, register

SIZE = len(NASBENCH201_OPS) ** 6
"""Number of cells."""


@lru_cache(maxsize=1)
def _order() -> tuple[tuple[str, ...], ...]:
    """All cells in the benchmark's index order: its authors shuffled the enumeration with this seed."""
    cells = list(product(NASBENCH201_OPS, repeat=6))
    random.Random(88).shuffle(cells)
    return tuple(cells)


def architecture_of(index: int) -> str:
    """The architecture string of a cell by its index in NAS-Bench-201 (and in NATS-Bench's topology space).

    Raises:
        UsageError: there is no such index.
    """
    if not 0 <= index < SIZE:
        raise UsageError(f"NAS-Bench-201 has no cell {index}", hint=f"use 0 to {SIZE - 1}")
    return nasbench201_string(_order()[index])


@register("nasbench201/", resolution=32, num_classes=10, parameter="cell")
def nasbench201(b: NetworkBuilder, x: str, num_classes: int, *, cell: str, channels: int = 16, repeats: int = 5) -> str:
    """Three groups of ``repeats`` cells at ``channels``, twice and four times as many, with a residual block between.

    Args:
        cell: index, or architecture string.
        channels: of the first group.
        repeats: cells in a group.
    """
    ops = parse_nasbench201(architecture_of(int(cell)) if cell.isdecimal() else cell)
    positive_int("repeats", repeats)
    x = conv_norm_act(b, x, positive_int("channels", channels), activation=None, names=("stem.0", "stem.1", ""))
    index = 0
    for group in range(3):
        if group > 0:
            with b.scope(f"cells.{index}"):
                x = _reduce(b, x, channels << group)
            index += 1
        for _ in range(repeats):
            with b.scope(f"cells.{index}"):
                x = nasbench201_cell(b, x, ops)
            index += 1
    x = b.op("relu", b.op("batch_norm", x, name="lastact.0"), name="lastact.1")
    return classifier(b, x, num_classes, "classifier")


def _reduce(b: NetworkBuilder, x: str, out_channels: int) -> str:
    """Residual block of stride 2, its shortcut an average pool and a 1x1 convolution; no ReLU after the sum."""
    with b.scope("conv_a"):
        y = relu_conv_norm(b, x, out_channels, 3, stride=2)
    with b.scope("conv_b"):
        y = relu_conv_norm(b, y, out_channels, 3)
    shortcut = b.op("avg_pool2d", x, name="downsample.0", kernel_size=2, stride=2)
    shortcut = b.op("conv2d", shortcut, name="downsample.1", out_channels=out_channels, kernel_size=1, bias=False)
    return b.op("add", shortcut, y, name="add")
