"""What the rules for XNNPACK share: an op with what is fused into it, and how its operators are appended."""

import math
from dataclasses import dataclass

from ..graph import Node
from ..ops import Op
from .layouts import CHANNELS_LAST, Order, plain, stored_shape
from .xnnpack_graph import Stored, XnnGraph


@dataclass(frozen=True)
class Fused:
    """A node of the network with what is computed in the same operator.

    Attributes:
        node: the op itself.
        output: name of the value behind everything that is fused ("" where there are several).
        bias: a folded batch norm adds a bias.
        clamp: bounds of the output.
    """

    node: Node
    output: str
    bias: bool = False
    clamp: tuple[float, float] | None = None

    @property
    def op(self) -> Op:
        return self.node.op

    @property
    def bounds(self) -> dict[str, float]:
        """The clamp as XNNPACK's attributes; an infinite bound is none."""
        named = zip(("output_min", "output_max"), self.clamp or (), strict=False)
        return {name: bound for name, bound in named if math.isfinite(bound)}

    def weight(self, name: str) -> str:
        """Name of one of the op's stored tensors."""
        return f"{self.node.weights_from or self.node.name}.{name}"


def image_op(
    g: XnnGraph, f: Fused, name: str, weights: list[str] | None = None, source: str = "", **attrs: int | tuple[int, ...]
) -> None:
    """One operator on an image with channels last, and its output likewise."""
    x = g.at(source or f.node.inputs[0], CHANNELS_LAST)
    same_order(g, f, name, [x, *(weights or [])], CHANNELS_LAST, **attrs)


def same_order(
    g: XnnGraph, f: Fused, name: str, inputs: list[str], order: Order, **attrs: float | tuple[int, ...]
) -> None:
    """One operator that leaves the op's output behind, in ``order``."""
    shape = stored_shape(f.op.outputs[0].shape, order)
    g.emit(name, inputs, [(f.output, shape)], f.op.macs, **attrs, **f.bounds)
    g.place(f.output, Stored(f.output, shape, order))


def last_axis_innermost(g: XnnGraph, value: str) -> Order:
    """The order that ``value`` already has where its last axis is innermost; row-major else."""
    place = g.stored(value)
    return place.order if place.order[-1] == place.rank - 1 else plain(place.rank)
