"""How XNNPACK computes convolutions, matrix products, attention, pooling and resizing."""

import math
from collections.abc import Callable

from ..ops import Op
from ..ops.linear import Sdpa
from .layouts import CHANNELS_LAST, Shape, plain
from .xnnpack_emit import Fused, image_op, last_axis_innermost, same_order
from .xnnpack_graph import Stored, XnnGraph


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
    image_op(g, f, name, weights, **shared, **own)


def _conv_transpose2d(g: XnnGraph, f: Fused) -> None:
    op, (channels, filters) = f.op, (f.op.inputs[0].shape[1], f.op["out_channels"])
    groups = op["groups"]
    weight = g.weight(f.weight("weight"), (filters, *op["kernel_size"], channels // groups))
    image_op(
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
    order = last_axis_innermost(g, f.node.inputs[0])
    features = op["out_features"]
    weights = [g.weight(f.weight("weight"), (features, op.inputs[0].shape[-1])), *_bias(g, f, features)]
    same_order(g, f, "fully_connected", [g.at(f.node.inputs[0], order), *weights], order)


def _matmul(g: XnnGraph, f: Fused) -> None:
    a, b = f.node.inputs
    _last_product(g, f, a, b, f.op.macs)


def _last_product(g: XnnGraph, f: Fused, a: str, b: str, macs: int) -> None:
    """The product that is the op's output. XNNPACK multiplies batches only, so that matrices become batches of one."""
    out = f.op.outputs[0]
    if out.rank > 2:
        _product(g, a, b, f.output, out.shape, macs)
    else:
        product = _product(g, a, b, f"{f.output}~batch", (1, *out.shape), macs)
        g.emit("static_reshape", [product], [(f.output, out.shape)])
    g.place(f.output, Stored(f.output, out.shape, plain(out.rank)))


def _product(g: XnnGraph, a: str, b: str, output: str, shape: Shape, macs: int, turn: bool = False) -> str:
    """``a @ b``; with ``turn`` the last two axes of b are swapped. The second operand may lie transposed in memory."""
    rank, place = len(shape), g.stored(b)
    rows, columns = (place.rank - 1, place.rank - 2) if turn else (place.rank - 2, place.rank - 1)
    transposed = place.order.index(rows) > place.order.index(columns)
    last_two = (columns, rows) if transposed else (rows, columns)
    order = (*range(rank - 2), *(axis + rank - place.rank for axis in last_two))
    operands = [g.at(a, plain(rank), rank), g.at(b, order, rank)]
    attrs = {"transpose_b": 1} if transposed else {}
    return g.emit("batch_matrix_multiply", operands, [(output, shape)], macs, **attrs)


def _sdpa(g: XnnGraph, f: Fused) -> None:
    """softmax(q scale k^T + mask) v, an operator each."""
    spec, (q, k, v, *mask) = f.op.spec, f.node.inputs
    assert isinstance(spec, Sdpa)
    types = f.op.inputs
    shape = (*f.op.outputs[0].shape[:-2], types[0].shape[-2], types[1].shape[-2])
    shape = (1,) * (3 - len(shape)) + shape
    rank, numel, part = len(shape), math.prod(shape), f"{f.output}~"
    query = g.at(q, plain(rank), rank)
    scale = g.weight(f"{part}scale", (1,), (spec.scale(f.op),))
    scaled = g.emit("multiply2", [query, scale], [(f"{part}scaled", g.types[query].shape)])
    g.place(scaled, Stored(scaled, g.types[scaled].shape, plain(rank)))
    scores = _product(g, scaled, k, f"{part}scores", shape, numel * types[0].shape[-1], turn=True)
    masks = [g.at(value, plain(rank), rank) for value in mask]
    if f.op["causal"]:
        masks.append(g.weight(f"{part}mask", shape[-2:]))
    for added in masks:
        scores = g.emit("add2", [scores, added], [(f"{part}masked", shape)])
    weights = g.emit("softmax", [scores], [(f"{part}weights", shape)])
    g.place(weights, Stored(weights, shape, plain(rank)))
    _last_product(g, f, weights, v, numel * types[2].shape[-1])


def _bias(g: XnnGraph, f: Fused, filters: int) -> list[str]:
    return [g.weight(f.weight("bias"), (filters,))] if f.op["bias"] or f.bias else []


def _max_pool2d(g: XnnGraph, f: Fused) -> None:
    op = f.op
    image_op(g, f, "max_pooling_2d", kernel=op["kernel_size"], stride=op["stride"], padding=_reaching(op))


def _avg_pool2d(g: XnnGraph, f: Fused) -> None:
    """XNNPACK leaves padding out of the mean; zeros that are to count are written by a pad before it."""
    op, padding = f.op, _reaching(f.op)
    if not (op["count_include_pad"] and any(op["padding"])):
        image_op(g, f, "average_pooling_2d", kernel=op["kernel_size"], stride=op["stride"], padding=padding)
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
    image_op(g, f, "average_pooling_2d", source=padded, kernel=op["kernel_size"], stride=op["stride"], padding=beyond)


def _adaptive_avg_pool2d(g: XnnGraph, f: Fused) -> None:
    window = equal_window(f.op)
    if f.op["output_size"] == (1, 1) or window is None:
        image_op(g, f, "global_average_pooling_2d")
    else:
        image_op(g, f, "average_pooling_2d", kernel=window, stride=window, padding=(0,) * 4)


def _global_avg_pool2d(g: XnnGraph, f: Fused) -> None:
    image_op(g, f, "global_average_pooling_2d")


def _upsample(g: XnnGraph, f: Fused) -> None:
    image_op(g, f, "static_resize_bilinear_2d", size=f.op["size"])


def equal_window(op: Op) -> tuple[int, int] | None:
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


RULES: dict[str, Callable[[XnnGraph, Fused], None]] = {
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "global_avg_pool2d": _global_avg_pool2d,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool2d": _max_pool2d,
    "sdpa": _sdpa,
    "upsample": _upsample,
}
