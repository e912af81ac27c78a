"""How XNNPACK moves data: joins, cuts, pads, turns and averages."""

from collections.abc import Callable

from .layouts import CHANNELS_LAST, plain, reshaped, stored_shape, turned
from .xnnpack_emit import Fused, same_order
from .xnnpack_graph import Stored, XnnGraph


def _reshape(g: XnnGraph, f: Fused) -> None:
    """Keeps memory as it is where some order of the new axes allows that."""
    value, new = f.node.inputs[0], f.op.outputs[0].shape
    place = g.stored(value)
    order = reshaped(f.op.inputs[0].shape, place.order, new)
    source = place.name if order is not None else g.at(value, plain(place.rank))
    order = order or plain(len(new))
    same_order(g, f, "static_reshape", [source], order)


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
    same_order(g, f, "static_reshape", [shuffled], CHANNELS_LAST)


def _concat(g: XnnGraph, f: Fused) -> None:
    live = [value for value in f.node.inputs if not g.is_constant(value)]
    order = g.stored(live[0]).order
    inputs = [g.at(value, order) for value in f.node.inputs]
    same_order(g, f, "concatenate", inputs, order, axis=order.index(f.op["axis"] % len(order)))


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
    same_order(g, f, "static_slice", [x.name], x.order, offsets=offsets)


def _pad(g: XnnGraph, f: Fused) -> None:
    x, pads = g.stored(f.node.inputs[0]), f.op["pads"]
    before, after = (stored_shape(side, x.order) for side in (pads[: x.rank], pads[x.rank :]))
    same_order(g, f, "static_constant_pad", [x.name], x.order, before=before, after=after, value=float(f.op["value"]))


def _expand(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    same_order(g, f, "static_broadcast", [x.name], x.order)


def _mean(g: XnnGraph, f: Fused) -> None:
    x = g.stored(f.node.inputs[0])
    gone = {axis % x.rank for axis in f.op["axes"]}
    axes = tuple(i for i, axis in enumerate(x.order) if axis in gone)
    order = x.order
    if not f.op["keepdims"]:
        kept = [axis for axis in range(x.rank) if axis not in gone]
        order = tuple(kept.index(axis) for axis in x.order if axis not in gone)
    keep = {"keep_dims": 1} if f.op["keepdims"] else {}
    same_order(g, f, "static_mean", [x.name], order, axes=axes, **keep)


RULES: dict[str, Callable[[XnnGraph, Fused], None]] = {
    "channel_shuffle": _channel_shuffle,
    "concat": _concat,
    "expand": _expand,
    "flatten": _reshape,
    "mean": _mean,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "split": _split,
    "transpose": _transpose,
}
