"""How XNNPACK computes what works element by element, and norms."""

import math
from collections.abc import Callable, Mapping

from ..ops import Op
from .layouts import Order, moved_last
from .xnnpack_emit import Fused, last_axis_innermost, same_order
from .xnnpack_graph import XnnGraph

UNARY = {
    "abs": "abs",
    "exp": "exp",
    "gelu": "gelu",
    "hard_swish": "hardswish",
    "neg": "negate",
    "sigmoid": "sigmoid",
    "sqrt": "square_root",
    "tanh": "tanh",
}
BINARY = {"add": "add2", "sub": "subtract", "mul": "multiply2", "div": "divide"}

CLAMPS: Mapping[str, Callable[[Op], tuple[float, float]]] = {
    "relu": lambda _: (0.0, math.inf),
    "relu6": lambda _: (0.0, 6.0),
    "clip": lambda op: (op["low"], op["high"]),
}
"""Activations that XNNPACK takes as bounds of the operator before them."""


def _unary(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, f, UNARY[f.op.kind])


def _leaky_relu(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, f, "leaky_relu", negative_slope=f.op["slope"])


def _clamp(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, Fused(f.node, f.output, clamp=CLAMPS[f.op.kind](f.op)), "clamp")


def _silu(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    gate = g.emit("sigmoid", [x.name], [(f"{f.output}~gate", x.shape)])
    same_order(g, f, "multiply2", [x.name, gate], x.order)


def _hard_sigmoid(g: XnnGraph, f: Fused) -> None:
    """min(max(x / 6 + 1/2, 0), 1) in two operators."""
    x = g.stored(f.node.inputs[0])
    sixth, half = (g.weight(f"{f.output}~{n}", (1,), (v,)) for n, v in (("sixth", 1 / 6), ("half", 0.5)))
    scaled = g.emit("multiply2", [x.name, sixth], [(f"{f.output}~scaled", x.shape)])
    same_order(g, Fused(f.node, f.output, clamp=(0.0, 1.0)), "add2", [scaled, half], x.order)


def _binary(g: XnnGraph, f: Fused) -> None:
    out = f.op.outputs[0]
    live = [value for value in f.node.inputs if not g.is_constant(value)]
    leading = max(live, key=lambda value: (g.stored(value).rank, math.prod(g.stored(value).shape)))
    place = g.stored(leading)
    added = out.rank - place.rank
    order = (*range(added), *(axis + added for axis in place.order))
    same_order(g, f, BINARY[f.op.kind], [g.at(value, order, out.rank) for value in f.node.inputs], order)


def _elementwise(g: XnnGraph, f: Fused, name: str, **attrs: float) -> None:
    x = g.stored(f.node.inputs[0])
    same_order(g, f, name, [x.name], x.order, **attrs)


def _softmax(g: XnnGraph, f: Fused) -> None:
    rank = f.op.inputs[0].rank
    axis, order = f.op["axis"] % rank, g.stored(f.node.inputs[0]).order
    order = order if order[-1] == axis else moved_last(order, axis)
    same_order(g, f, "softmax", [g.at(f.node.inputs[0], order)], order)


def _batch_norm(g: XnnGraph, f: Fused) -> None:
    """One that no convolution takes in: scale and shift, worked out in advance."""
    x, channels = g.stored(f.node.inputs[0]), f.op.inputs[0].shape[1]
    shape = tuple(channels if axis == 1 else 1 for axis in x.order)
    scale, shift = (g.weight(f.weight(name), shape) for name in ("scale", "shift"))
    scaled = g.emit("multiply2", [x.name, scale], [(f"{f.output}~scaled", x.shape)])
    same_order(g, f, "add2", [scaled, shift], x.order)


def _layer_norm(g: XnnGraph, f: Fused) -> None:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias, in nine operators."""
    order = last_axis_innermost(g, f.node.inputs[0])
    x = g.at(f.node.inputs[0], order)
    shape = g.types[x].shape
    mean = _mean_of_last(g, x, f"{f.output}~mean")
    centred = g.emit("subtract", [x, mean], [(f"{f.output}~centred", shape)])
    _scale_to_unit(g, f, centred, order)


def _rms_norm(g: XnnGraph, f: Fused) -> None:
    order = last_axis_innermost(g, f.node.inputs[0])
    _scale_to_unit(g, f, g.at(f.node.inputs[0], order), order)


def _scale_to_unit(g: XnnGraph, f: Fused, x: str, order: Order) -> None:
    """x / sqrt(mean(x^2) + eps), then the op's weight and bias where it has them."""
    shape, part = g.types[x].shape, f"{f.output}~"
    square = g.emit("square", [x], [(f"{part}square", shape)])
    mean = _mean_of_last(g, square, f"{part}variance")
    eps = g.weight(f"{part}eps", (1,), (f.op["eps"],))
    column = g.types[mean].shape
    shifted = g.emit("add2", [mean, eps], [(f"{part}shifted", column)])
    root = g.emit("reciprocal_square_root", [shifted], [(f"{part}root", column)])
    steps = [("multiply2", root)]
    operators = {"weight": "multiply2", "bias": "add2"}
    steps += [(operators[n], g.weight(f.weight(n), s)) for n, s in f.op.weights.items()]
    for i, (name, operand) in enumerate(steps[:-1]):
        x = g.emit(name, [x, operand], [(f"{part}step{i}", shape)])
    same_order(g, f, steps[-1][0], [x, steps[-1][1]], order)


def _mean_of_last(g: XnnGraph, x: str, output: str) -> str:
    shape = g.types[x].shape
    return g.emit("static_mean", [x], [(output, (*shape[:-1], 1))], axes=(len(shape) - 1,), keep_dims=1)


RULES: dict[str, Callable[[XnnGraph, Fused], None]] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(CLAMPS, _clamp),
    "batch_norm": _batch_norm,
    "hard_sigmoid": _hard_sigmoid,
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "rms_norm": _rms_norm,
    "silu": _silu,
    "softmax": _softmax,
}
