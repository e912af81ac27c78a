"""Cells of architecture search spaces: NASNet (arXiv:1707.07012) and NAS-Bench-201 (arXiv:2001.00326)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import UsageError
from ..graph import NetworkBuilder
from .basic import conv_norm_act

NASBENCH201_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Edge operations in the order of the benchmark's own code."""

NASBENCH201_EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, earlier node) of the six edges, in the order they are written."""

NASNET_OPS = (
    "identity",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "avg_pool_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
)
"""Operations a NASNet-style cell chooses from."""

_NASNET_POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "avg_pool_3x3": ("avg_pool2d", {"count_include_pad": False}),
    "max_pool_3x3": ("max_pool2d", {}),
}


def parse_nasbench201(arch: str) -> tuple[str, ...]:
    """The six edge operations of an architecture string ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    Raises:
        UsageError: not such a string.
    """
    nodes = [re.findall(r"([^|~]+)~(\d+)\|", node) for node in arch.split("+")]
    edges = tuple((node, int(source)) for node, found in enumerate(nodes, start=1) for _, source in found)
    ops = tuple(op for found in nodes for op, _ in found)
    if edges != NASBENCH201_EDGES or not set(ops) <= set(NASBENCH201_OPS) or nasbench201_string(ops) != arch:
        raise UsageError(
            f"{arch!r} is not a NAS-Bench-201 cell",
            hint=f"write |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with op one of {', '.join(NASBENCH201_OPS)}",
        )
    return ops


def nasbench201_string(ops: Sequence[str]) -> str:
    """The architecture string of six edge operations."""
    parts = [f"{op}~{source}|" for op, (_, source) in zip(ops, NASBENCH201_EDGES, strict=True)]
    return "|" + "+|".join(("".join(parts[:1]), "".join(parts[1:3]), "".join(parts[3:])))


def nasbench201_cell(b: NetworkBuilder, x: str, ops: Sequence[str]) -> str:
    """Four nodes, each the sum of an operation on every earlier node: N x C x H x W to the same.

    ``none`` is no edge at all. A node that nothing reaches holds zeros: identity and pooling of it vanish too, a
    convolution of it is kept (its batch norm shifts the zeros) and reads a constant. Nodes that do not reach the
    output are kept as well, since the benchmark counts and runs them; `lutra.networks.prune` removes them.

    Args:
        ops: the six edge operations in the order of `NASBENCH201_EDGES`.
    """
    shape = b.shape(x)
    nodes: list[str | None] = [x]  # None: zeros that nothing made so far
    for node in range(1, 4):
        edges = [(op, source) for op, (target, source) in zip(ops, NASBENCH201_EDGES, strict=True) if target == node]
        terms = []
        for op, source in edges:
            with b.scope(f"edges.{node}<-{source}"):
                term = _nasbench201_edge(b, nodes[source], op, shape)
            if term is not None:
                terms.append(term)
        total = terms[0] if terms else None
        for term in terms[1:]:
            total = b.op("add", str(total), term, name=f"node{node}")
        nodes.append(total)
    return nodes[3] if nodes[3] is not None else b.op("constant", name="zeros", shape=shape)


def _nasbench201_edge(b: NetworkBuilder, x: str | None, op: str, shape: tuple[int, ...]) -> str | None:
    if op == "none":
        return None
    if op == "skip_connect":
        return x
    if op == "avg_pool_3x3":
        if x is None:
            return None
        return b.op("avg_pool2d", x, name="pool", kernel_size=3, padding=1, count_include_pad=False)
    if x is None:
        x = b.op("constant", name="zeros", shape=shape)
    return relu_conv_norm(b, x, shape[1], int(op[-1]))


def relu_conv_norm(b: NetworkBuilder, x: str, out_channels: int, kernel_size: int, stride: int = 1) -> str:
    """ReLU, convolution, batch norm: the order in which cells have them."""
    y = b.op("relu", x, name="op.0")
    return conv_norm_act(b, y, out_channels, kernel_size, stride=stride, activation=None, names=("op.1", "op.2", ""))


@dataclass(frozen=True)
class CellBlock:
    """One block of a NASNet-style cell: two operations on two earlier states, combined into a new state.

    Attributes:
        first, second: indices of the states; 0 is the cell before the last, 1 the last, 2 the first block's output.
        first_op, second_op: one of `NASNET_OPS`.
        combine: "add" or "concat" (along channels).
    """

    first: int
    second: int
    first_op: str
    second_op: str
    combine: Literal["add", "concat"] = "add"


def nasnet_cell(
    b: NetworkBuilder,
    before: str,
    last: str,
    blocks: Sequence[CellBlock],
    channels: int,
    *,
    reduction: bool = False,
) -> str:
    """A cell found by search: the states that no block uses, concatenated (arXiv:1707.07012, section 3.1).

    Args:
        before, last: outputs of the two previous cells, N x C x H x W each; ``before`` may be twice as large.
        channels: filters of every operation.
        reduction: operations on the two inputs have stride 2.

    Raises:
        UsageError: a block names a state or an operation that does not exist.
    """
    states = nasnet_inputs(b, before, last, channels)
    used: set[int] = set()
    for i, block in enumerate(blocks):
        with b.scope(f"blocks.{i}"):
            made = []
            for side, index, op in (("first", block.first, block.first_op), ("second", block.second, block.second_op)):
                if not 0 <= index < len(states):
                    raise UsageError(f"block {i} reads state {index}; there are {len(states)} so far")
                with b.scope(side):
                    stride = 2 if reduction and index < 2 else 1
                    made.append(nasnet_op(b, states[index], op, channels, stride))
                used.add(index)
            if block.combine == "concat":
                states.append(b.op("concat", *made, name="concat"))
            else:
                states.append(b.op("add", *made, name="add"))
    loose = []
    for i, state in enumerate(states):
        if i not in used:
            with b.scope(f"loose.{i}"):
                loose.append(nasnet_op(b, state, "identity", channels, 2) if reduction and i < 2 else state)
    return loose[0] if len(loose) == 1 else b.op("concat", *loose, name="output")


def nasnet_inputs(b: NetworkBuilder, before: str, last: str, channels: int) -> list[str]:
    """The first two states of a cell: outputs of the two previous cells at ``channels`` and the size of the last."""
    height = b.shape(last)[2]
    states = []
    for name, state in (("before", before), ("last", last)):
        with b.scope(name):
            states.append(_resized(b, state, channels, -(-b.shape(state)[2] // height)))
    return states


def _resized(b: NetworkBuilder, x: str, channels: int, stride: int) -> str:
    """``x`` with ``channels`` channels and 1/``stride`` of its size; itself where it already is so."""
    if stride == 1 and b.channels(x) == channels:
        return x
    return relu_conv_norm(b, x, channels, 1, stride)


def nasnet_op(b: NetworkBuilder, x: str, op: str, channels: int, stride: int) -> str:
    """One operation of a block: N x C x H x W to N x ``channels`` x H/stride x W/stride.

    Raises:
        UsageError: not one of `NASNET_OPS`.
    """
    if op == "identity":
        return _resized(b, x, channels, stride)
    if op in _NASNET_POOLS:
        kind, attrs = _NASNET_POOLS[op]
        pooled = b.op(kind, x, name="pool", kernel_size=3, stride=stride, padding=1, **attrs)
        return _resized(b, pooled, channels, 1)
    if op == "dil_conv_3x3":
        return separable(b, x, channels, 3, stride, dilation=2)
    if op not in NASNET_OPS:
        raise UsageError(f"{op!r} is no operation of a NASNet cell", hint=f"use one of {', '.join(NASNET_OPS)}")
    with b.scope("0"):  # separable convolutions are applied twice, the stride in the first
        x = separable(b, x, channels, int(op[-1]), stride)
    with b.scope("1"):
        return separable(b, x, channels, int(op[-1]), 1)


def separable(b: NetworkBuilder, x: str, channels: int, kernel_size: int, stride: int, dilation: int = 1) -> str:
    """ReLU, depthwise and pointwise convolution, batch norm."""
    inner = b.channels(x)
    x = b.op("relu", x, name="relu")
    x = conv_norm_act(
        b,
        x,
        inner,
        kernel_size,
        stride=stride,
        dilation=dilation,
        groups=inner,
        norm=False,
        bias=False,
        activation=None,
        names=("depthwise", "", ""),
    )
    return conv_norm_act(b, x, channels, 1, activation=None, names=("pointwise", "norm", ""))
