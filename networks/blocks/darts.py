"""The cell of DARTS (arXiv:1806.09055, section 2.1; github.com/quark0/darts)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ShapeError, UsageError
from ..graph import NetworkBuilder
from .basic import conv_norm_act
from .cells import relu_conv_norm, separable

DARTS_OPS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Operations of an edge in the order of the authors' code, without "none", which no edge of a finished cell has."""


@dataclass(frozen=True)
class DartsEdge:
    """One edge of a cell.

    Attributes:
        source: 0 is the cell before the last, 1 the last, 2 the first node.
        op: one of `DARTS_OPS`.
    """

    source: int
    op: str


def darts_cell(
    b: NetworkBuilder,
    before: str,
    last: str,
    nodes: Sequence[tuple[DartsEdge, DartsEdge]],
    channels: int,
    *,
    reduction: bool = False,
) -> str:
    """Nodes that add two operations on earlier states, all of them concatenated.

    Args:
        before, last: outputs of the two previous cells, N x C x H x W each; ``before`` may be twice as large.
        nodes: the two edges of each.
        channels: of every node.
        reduction: operations on the two inputs have stride 2.

    Raises:
        UsageError: an edge names a state or an operation that does not exist.
        ShapeError: an image of odd size is to be halved.
    """
    with b.scope("preprocess0"):
        states = [darts_input(b, before, channels, halve=b.shape(before)[2] > b.shape(last)[2])]
    with b.scope("preprocess1"):
        states.append(darts_input(b, last, channels, halve=False))
    for i, edges in enumerate(nodes):
        with b.scope(f"nodes.{i}"):
            made = []
            for side, edge in zip(("first", "second"), edges, strict=True):
                if not 0 <= edge.source < len(states):
                    raise UsageError(f"node {i} reads state {edge.source}; there are {len(states)} so far")
                with b.scope(side):
                    stride = 2 if reduction and edge.source < 2 else 1
                    made.append(darts_op(b, states[edge.source], edge.op, stride))
            states.append(b.op("add", *made, name="add"))
    return b.op("concat", *states[2:], name="output")


def darts_input(b: NetworkBuilder, x: str, channels: int, *, halve: bool) -> str:
    """What a cell makes of an earlier one's output first: ``channels`` of it, at half its height and width if asked.

    Raises:
        ShapeError: an image of odd size is to be halved.
    """
    return factorised_reduce(b, x, channels) if halve else relu_conv_norm(b, x, channels, 1)


def darts_op(b: NetworkBuilder, x: str, op: str, stride: int) -> str:
    """One operation of an edge: N x C x H x W to N x C x H/stride x W/stride.

    Raises:
        UsageError: not one of `DARTS_OPS`.
        ShapeError: an image of odd size is to be halved by ``skip_connect``.
    """
    channels = b.channels(x)
    match op:
        case "skip_connect":
            return x if stride == 1 else factorised_reduce(b, x, channels)
        case "max_pool_3x3":
            return b.op("max_pool2d", x, name="pool", kernel_size=3, stride=stride, padding=1)
        case "avg_pool_3x3":
            return b.op("avg_pool2d", x, name="pool", kernel_size=3, stride=stride, padding=1, count_include_pad=False)
        case "sep_conv_3x3" | "sep_conv_5x5":
            with b.scope("0"):  # applied twice, the stride in the first
                x = separable(b, x, channels, int(op[-1]), stride)
            with b.scope("1"):
                return separable(b, x, channels, int(op[-1]), 1)
        case "dil_conv_3x3" | "dil_conv_5x5":
            return separable(b, x, channels, int(op[-1]), stride, dilation=2)
    raise UsageError(f"{op!r} is no operation of a DARTS cell", hint=f"use one of {', '.join(DARTS_OPS)}")


def factorised_reduce(b: NetworkBuilder, x: str, channels: int) -> str:
    """ReLU, two pointwise convolutions of stride 2, the second one pixel on, concatenated; batch norm.

    Raises:
        ShapeError: the image's height or width is odd.
    """
    height, width = b.shape(x)[2:]
    if height % 2 or width % 2:
        raise ShapeError(f"an image of {height} x {width} cannot be halved evenly", hint="use sizes that 4 divides")
    x = b.op("relu", x, name="relu")
    moved = x
    for axis in (2, 3):
        moved = b.op("slice", moved, name=f"from_second_{axis}", axis=axis, start=1)
    halves = [
        conv_norm_act(b, value, width, 1, stride=2, norm=False, bias=False, activation=None, names=(name, "", ""))
        for name, value, width in (("even", x, channels // 2), ("odd", moved, channels - channels // 2))
    ]
    return b.op("batch_norm", b.op("concat", *halves, name="concat"), name="norm")
