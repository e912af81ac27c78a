"""How XNNPACK computes each op of the catalogue: which of its operators, in which memory order.

Images are stored with channels last. What XNNPACK has no operator for is written in several (layer norm, attention,
silu), as converters to its format do.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..graph import Node
from ..ops import Op
from .layouts import CHANNELS_LAST, Order, Shape, moved_last, plain, reshaped, stored_shape, turned
from .xnnpack_graph import Stored, XnnGraph

MAX_RANK = 6

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


def lacking(op: Op) -> str:
    """What XNNPACK lacks to compute ``op``, in words; "" if nothing."""
    if op.spec.is_source:
        return ""
    if op.kind not in _RULES:
        return op.kind
    if any(t.dtype != "float32" for t in (*op.inputs, *op.outputs)):
        return f"{op.kind} of {op.inputs[0].dtype}"
    if any(t.rank > MAX_RANK for t in (*op.inputs, *op.outputs)):
        return f"{op.kind} of over {MAX_RANK} axes"
    match op.kind:
        case "gelu" if op["approximate"] != "none":
            return "gelu by tanh"
        case "upsample" if op["mode"] != "bilinear":
            return f"{op['mode']} upsample"
        case "slice" if op["step"] != 1:
            return "slice with steps"
        case "adaptive_avg_pool2d" if _window(op) is None:
            return "adaptive_avg_pool2d with unequal windows"
        case "expand" if op.outputs[0].rank != op.inputs[0].rank:
            return "expand to more axes"
        case _:
            return ""


def write(graph: XnnGraph, fused: Fused) -> None:
    """Append what computes ``fused``."""
    _RULES[fused.op.kind](graph, fused)


def reads_images(op: Op) -> bool:
    """Whether the op takes its first input with channels last."""
    return op.kind in _IMAGE_OPS


# --- convolutions and matrix products -------------------------------------------------------------------------


def _conv2d(g: XnnGraph, f: Fused) -> None:
    op, (channels, filters) = f.op, (f.op.inputs[0].shape[1], f.op["out_channels"])
    window, groups = op["kernel_size"], op["groups"]
    shared = {"kernel": window, "stride": op["stride"], "padding": op["padding"], "dilation": op["dilation"]}
    if groups == channels and groups > 1:
        name, shape = "depthwise_convolution_2d", (1, *window, filters)
        own = {"channels": channels, "depth_multiplier": filters // channels}
    else:
        name, shape = "convolution_2d", (filters, *window, channels // groups)
        own = {"groups": groups, "group_channels": (channels // groups, filters // groups)}
    weights = [g.weight(f.weight("weight"), shape), *_bias(g, f, filters)]
    _image_op(g, f, name, weights, **shared, **own)


def _conv_transpose2d(g: XnnGraph, f: Fused) -> None:
    op, (channels, filters) = f.op, (f.op.inputs[0].shape[1], f.op["out_channels"])
    groups = op["groups"]
    weight = g.weight(f.weight("weight"), (filters, *op["kernel_size"], channels // groups))
    _image_op(
        g,
        f,
        "deconvolution_2d",
        [weight, *_bias(g, f, filters)],
        kernel=op["kernel_size"],
        stride=op["stride"],
        padding=op["padding"] * 2,
        adjustment=op["output_padding"],
        dilation=op["dilation"],
        groups=groups,
        group_channels=(channels // groups, filters // groups),
    )


def _linear(g: XnnGraph, f: Fused) -> None:
    op = f.op
    order = _last_axis_innermost(g, f.node.inputs[0])
    features = op["out_features"]
    weights = [g.weight(f.weight("weight"), (features, op.inputs[0].shape[-1])), *_bias(g, f, features)]
    _same_order(g, f, "fully_connected", [g.at(f.node.inputs[0], order), *weights], order)


def _matmul(g: XnnGraph, f: Fused) -> None:
    a, b = f.node.inputs
    rank = max(3, f.op.outputs[0].rank)
    wide = stored_shape((1,) * (rank - f.op.outputs[0].rank) + f.op.outputs[0].shape, plain(rank))
    product = _product(g, a, b, rank, f.output if rank == f.op.outputs[0].rank else f"{f.output}~wide", wide, f.op.macs)
    if rank != f.op.outputs[0].rank:
        g.emit("static_reshape", [product], [(f.output, f.op.outputs[0].shape)])
    g.place(f.output, Stored(f.output, f.op.outputs[0].shape, plain(f.op.outputs[0].rank)))


def _product(g: XnnGraph, a: str, b: str, rank: int, output: str, shape: Shape, macs: int, turn: bool = False) -> str:
    """``a @ b``; with ``turn`` the last two axes of b are swapped. The second operand may lie transposed."""
    place = g.stored(b)
    rows, columns = (place.rank - 1, place.rank - 2) if turn else (place.rank - 2, place.rank - 1)
    transposed = place.order.index(rows) > place.order.index(columns)
    added = rank - place.rank
    order = (*range(rank - 2), *((columns + added, rows + added) if transposed else (rows + added, columns + added)))
    operands = [g.at(a, plain(rank), rank), g.at(b, order, rank)]
    attrs = {"transpose_b": 1} if transposed else {}
    return g.emit("batch_matrix_multiply", operands, [(output, shape)], macs, **attrs)


def _sdpa(g: XnnGraph, f: Fused) -> None:
    """softmax(q scale k^T + mask) v, in five operators."""
    from ..ops.linear import Sdpa

    op, (q, k, v, *mask) = f.op, f.node.inputs
    assert isinstance(op.spec, Sdpa)
    rank = max(3, op.outputs[0].rank)
    batch = (1,) * (rank - op.outputs[0].rank) + op.outputs[0].shape[:-2]
    tokens, seen, depth = op.inputs[0].shape[-2], op.inputs[1].shape[-2], op.inputs[0].shape[-1]
    scores_shape = (*batch, tokens, seen)
    part = f"{f.output}~"
    scale = g.weight(f"{part}scale", (1,), (op.spec.scale(op),))
    query = g.at(q, plain(rank), rank)
    scaled = g.emit("multiply2", [query, scale], [(f"{part}scaled", g.types[query].shape)])
    g.place(scaled, Stored(scaled, g.types[scaled].shape, plain(rank)))
    heads = math.prod(batch)
    scores = _product(g, scaled, k, rank, f"{part}scores", scores_shape, heads * tokens * seen * depth, turn=True)
    if mask:
        scores = g.emit("add2", [scores, g.at(mask[0], plain(rank), rank)], [(f"{part}masked", scores_shape)])
    if op["causal"]:
        hidden = g.weight(f"{part}mask", (tokens, seen))
        scores = g.emit("add2", [scores, hidden], [(f"{part}masked", scores_shape)])
    weights = g.emit("softmax", [scores], [(f"{part}weights", scores_shape)])
    g.place(weights, Stored(weights, scores_shape, plain(rank)))
    macs = heads * tokens * seen * op.inputs[2].shape[-1]
    if rank == op.outputs[0].rank:
        _product(g, weights, v, rank, f.output, op.outputs[0].shape, macs)
    else:
        wide = (*batch, tokens, op.inputs[2].shape[-1])
        product = _product(g, weights, v, rank, f"{part}wide", wide, macs)
        g.emit("static_reshape", [product], [(f.output, op.outputs[0].shape)])
    g.place(f.output, Stored(f.output, op.outputs[0].shape, plain(op.outputs[0].rank)))


def _bias(g: XnnGraph, f: Fused, filters: int) -> list[str]:
    return [g.weight(f.weight("bias"), (filters,))] if f.op["bias"] or f.bias else []


# --- pooling and resizing -------------------------------------------------------------------------------------


def _max_pool2d(g: XnnGraph, f: Fused) -> None:
    op = f.op
    _image_op(g, f, "max_pooling_2d", kernel=op["kernel_size"], stride=op["stride"], padding=_reaching(op))


def _avg_pool2d(g: XnnGraph, f: Fused) -> None:
    """XNNPACK leaves padding out of the mean; zeros that are to count are written by a pad before it."""
    op, padding = f.op, _reaching(f.op)
    if not (op["count_include_pad"] and any(op["padding"])):
        _image_op(g, f, "average_pooling_2d", kernel=op["kernel_size"], stride=op["stride"], padding=padding)
        return
    top, left, bottom, right = op["padding"]
    x = g.at(f.node.inputs[0], CHANNELS_LAST)
    n, height, width, channels = g.types[x].shape
    shape = (n, height + top + bottom, width + left + right, channels)
    padded = g.emit(
        "static_constant_pad",
        [x],
        [(f"{f.output}~padded", shape)],
        before=(0, top, left, 0),
        after=(0, bottom, right, 0),
    )
    g.place(padded, Stored(padded, shape, CHANNELS_LAST))
    beyond = tuple(reach - pad for reach, pad in zip(padding, op["padding"], strict=True))
    _image_op(g, f, "average_pooling_2d", source=padded, kernel=op["kernel_size"], stride=op["stride"], padding=beyond)


def _adaptive_avg_pool2d(g: XnnGraph, f: Fused) -> None:
    window = _window(f.op)
    if f.op["output_size"] == (1, 1) or window is None:
        _image_op(g, f, "global_average_pooling_2d")
    else:
        _image_op(g, f, "average_pooling_2d", kernel=window, stride=window, padding=(0,) * 4)


def _global_avg_pool2d(g: XnnGraph, f: Fused) -> None:
    _image_op(g, f, "global_average_pooling_2d")


def _upsample(g: XnnGraph, f: Fused) -> None:
    _image_op(g, f, "static_resize_bilinear_2d", size=f.op["size"])


def _window(op: Op) -> tuple[int, int] | None:
    """The window of an adaptive pooling whose windows are all equal."""
    (height, width), (rows, columns) = op.inputs[0].shape[2:], op["output_size"]
    return None if height % rows or width % columns else (height // rows, width // columns)


def _reaching(op: Op) -> tuple[int, ...]:
    """The op's padding, with more behind the image where a last window sticks out of it."""
    before, after = op["padding"][:2], list(op["padding"][2:])
    for i, (size, out) in enumerate(zip(op.inputs[0].shape[2:], op.outputs[0].shape[2:], strict=True)):
        needed = (out - 1) * op["stride"][i] + op["kernel_size"][i] - size - before[i]
        after[i] = max(after[i], needed)
    return (*before, *after)


# --- element by element ---------------------------------------------------------------------------------------


def _unary(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, f, UNARY[f.op.kind])


def _leaky_relu(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, f, "leaky_relu", negative_slope=f.op["slope"])


def _clamp(g: XnnGraph, f: Fused) -> None:
    _elementwise(g, Fused(f.node, f.output, clamp=CLAMPS[f.op.kind](f.op)), "clamp")


def _silu(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    gate = g.emit("sigmoid", [x.name], [(f"{f.output}~gate", x.shape)])
    _same_order(g, f, "multiply2", [x.name, gate], x.order)


def _hard_sigmoid(g: XnnGraph, f: Fused) -> None:
    """min(max(x / 6 + 1/2, 0), 1) in two operators."""
    x = g.stored(f.node.inputs[0])
    sixth, half = (g.weight(f"{f.output}~{n}", (1,), (v,)) for n, v in (("sixth", 1 / 6), ("half", 0.5)))
    scaled = g.emit("multiply2", [x.name, sixth], [(f"{f.output}~scaled", x.shape)])
    _same_order(g, Fused(f.node, f.output, clamp=(0.0, 1.0)), "add2", [scaled, half], x.order)


def _binary(g: XnnGraph, f: Fused) -> None:
    out = f.op.outputs[0]
    live = [value for value in f.node.inputs if not g.is_constant(value)]
    leading = max(live, key=lambda value: (g.stored(value).rank, math.prod(g.stored(value).shape)))
    place = g.stored(leading)
    added = out.rank - place.rank
    order = (*range(added), *(axis + added for axis in place.order))
    _same_order(g, f, BINARY[f.op.kind], [g.at(value, order, out.rank) for value in f.node.inputs], order)


def _elementwise(g: XnnGraph, f: Fused, name: str, **attrs: float) -> None:
    x = g.stored(f.node.inputs[0])
    _same_order(g, f, name, [x.name], x.order, **attrs)


# --- normalisation --------------------------------------------------------------------------------------------


def _softmax(g: XnnGraph, f: Fused) -> None:
    rank = f.op.inputs[0].rank
    axis, order = f.op["axis"] % rank, g.stored(f.node.inputs[0]).order
    order = order if order[-1] == axis else moved_last(order, axis)
    _same_order(g, f, "softmax", [g.at(f.node.inputs[0], order)], order)


def _batch_norm(g: XnnGraph, f: Fused) -> None:
    """One that no convolution takes in: scale and shift, worked out in advance."""
    x, channels = g.stored(f.node.inputs[0]), f.op.inputs[0].shape[1]
    shape = tuple(channels if axis == 1 else 1 for axis in x.order)
    scale, shift = (g.weight(f.weight(name), shape) for name in ("scale", "shift"))
    scaled = g.emit("multiply2", [x.name, scale], [(f"{f.output}~scaled", x.shape)])
    _same_order(g, f, "add2", [scaled, shift], x.order)


def _layer_norm(g: XnnGraph, f: Fused) -> None:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias, in nine operators."""
    order = _last_axis_innermost(g, f.node.inputs[0])
    x = g.at(f.node.inputs[0], order)
    shape = g.types[x].shape
    mean = _mean_of_last(g, x, f"{f.output}~mean")
    centred = g.emit("subtract", [x, mean], [(f"{f.output}~centred", shape)])
    _scale_to_unit(g, f, centred, order)


def _rms_norm(g: XnnGraph, f: Fused) -> None:
    order = _last_axis_innermost(g, f.node.inputs[0])
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
    _same_order(g, f, steps[-1][0], [x, steps[-1][1]], order)


def _mean_of_last(g: XnnGraph, x: str, output: str) -> str:
    shape = g.types[x].shape
    return g.emit("static_mean", [x], [(output, (*shape[:-1], 1))], axes=(len(shape) - 1,), keep_dims=1)


# --- data movement and reduction ------------------------------------------------------------------------------


def _reshape(g: XnnGraph, f: Fused) -> None:
    """Keeps memory as it is where some order of the new axes allows that."""
    value, new = f.node.inputs[0], f.op.outputs[0].shape
    place = g.stored(value)
    order = reshaped(f.op.inputs[0].shape, place.order, new)
    source = place.name if order is not None else g.at(value, plain(place.rank))
    order = order or plain(len(new))
    _same_order(g, f, "static_reshape", [source], order)


def _transpose(g: XnnGraph, f: Fused) -> None:
    """Costs nothing by itself: who needs another order in memory turns it."""
    place = g.stored(f.node.inputs[0])
    g.place(f.output, Stored(place.name, place.shape, turned(place.order, f.op["perm"])))


def _channel_shuffle(g: XnnGraph, f: Fused) -> None:
    x = g.at(f.node.inputs[0], CHANNELS_LAST)
    (n, h, w, channels), groups = g.types[x].shape, f.op["groups"]
    grouped, turned_shape = (n, h, w, groups, channels // groups), (n, h, w, channels // groups, groups)
    split = g.emit("static_reshape", [x], [(f"{f.output}~groups", grouped)])
    shuffled = g.emit("static_transpose", [split], [(f"{f.output}~turned", turned_shape)], perm=(0, 1, 2, 4, 3))
    _same_order(g, f, "static_reshape", [shuffled], CHANNELS_LAST)


def _concat(g: XnnGraph, f: Fused) -> None:
    live = [value for value in f.node.inputs if not g.is_constant(value)]
    order = g.stored(live[0]).order
    inputs = [g.at(value, order) for value in f.node.inputs]
    _same_order(g, f, "concatenate", inputs, order, axis=order.index(f.op["axis"] % len(order)))


def _split(g: XnnGraph, f: Fused) -> None:
    op, x = f.op, g.stored(f.node.inputs[0])
    axis = x.order.index(op["axis"] % x.rank)
    shapes = [stored_shape(type_.shape, x.order) for type_ in op.outputs]
    for value, shape in zip(f.node.outputs, shapes, strict=True):
        g.place(value, Stored(value, shape, x.order))
    if len(set(op["sizes"])) == 1:
        g.emit("even_split", [x.name], list(zip(f.node.outputs, shapes, strict=True)), axis=axis)
        return
    start = 0
    for value, shape in zip(f.node.outputs, shapes, strict=True):
        offsets = tuple(start if i == axis else 0 for i in range(x.rank))
        g.emit("static_slice", [x.name], [(value, shape)], offsets=offsets)
        start += shape[axis]


def _slice(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    axis = x.order.index(f.op["axis"] % x.rank)
    offsets = tuple(f.op["start"] if i == axis else 0 for i in range(x.rank))
    _same_order(g, f, "static_slice", [x.name], x.order, offsets=offsets)


def _pad(g: XnnGraph, f: Fused) -> None:
    x, pads = g.stored(f.node.inputs[0]), f.op["pads"]
    before, after = (stored_shape(side, x.order) for side in (pads[: x.rank], pads[x.rank :]))
    _same_order(g, f, "static_constant_pad", [x.name], x.order, before=before, after=after, value=float(f.op["value"]))


def _expand(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    _same_order(g, f, "static_broadcast", [x.name], x.order)


def _mean(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    gone = {axis % x.rank for axis in f.op["axes"]}
    axes = tuple(i for i, axis in enumerate(x.order) if axis in gone)
    order = x.order
    if not f.op["keepdims"]:
        kept = [axis for axis in range(x.rank) if axis not in gone]
        order = tuple(kept.index(axis) for axis in x.order if axis not in gone)
    keep = {"keep_dims": 1} if f.op["keepdims"] else {}
    _same_order(g, f, "static_mean", [x.name], order, axes=axes, **keep)


# --- shared ---------------------------------------------------------------------------------------------------


def _image_op(
    g: XnnGraph, f: Fused, name: str, weights: list[str] | None = None, source: str = "", **attrs: int | tuple[int, ...]
) -> None:
    """One operator on an image with channels last, and its output likewise."""
    x = g.at(source or f.node.inputs[0], CHANNELS_LAST)
    _same_order(g, f, name, [x, *(weights or [])], CHANNELS_LAST, **attrs)


def _same_order(
    g: XnnGraph, f: Fused, name: str, inputs: list[str], order: Order, **attrs: float | tuple[int, ...]
) -> None:
    """One operator that leaves the op's output behind, in ``order``."""
    shape = stored_shape(f.op.outputs[0].shape, order)
    g.emit(name, inputs, [(f.output, shape)], f.op.macs, **attrs, **f.bounds)
    g.place(f.output, Stored(f.output, shape, order))


def _last_axis_innermost(g: XnnGraph, value: str) -> Order:
    """The order that ``value`` already has where its last axis is innermost; row-major else."""
    place = g.stored(value)
    return place.order if place.order[-1] == place.rank - 1 else plain(place.rank)


_IMAGE_OPS = frozenset(
    {
        *("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"),
        *("upsample", "channel_shuffle"),
    }
)

_RULES: dict[str, Callable[[XnnGraph, Fused], None]] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(CLAMPS, _clamp),
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "batch_norm": _batch_norm,
    "channel_shuffle": _channel_shuffle,
    "concat": _concat,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "expand": _expand,
    "flatten": _reshape,
    "global_avg_pool2d": _global_avg_pool2d,
    "hard_sigmoid": _hard_sigmoid,
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool2d": _max_pool2d,
    "mean": _mean,
    "pad": _pad,
    "reshape": _reshape,
    "rms_norm": _rms_norm,
    "sdpa": _sdpa,
    "silu": _silu,
    "slice": _slice,
    "softmax": _softmax,
    "split": _split,
    "transpose": _transpose,
    "upsample": _upsample,
}
