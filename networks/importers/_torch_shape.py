"""ATen handlers of what moves data: shapes, cuts, joins, borders, resizing."""

import math

from ._draft import Stored, UnsupportedError
from ._torch_graph import AtenCall, handles


@handles("view", "reshape", "_unsafe_view", "view_as", "reshape_as", "unflatten", "squeeze", "unsqueeze", "flatten")
def _reshape(call: AtenCall) -> None:
    assert call.type is not None
    old, new = call.shape("self"), call.type.shape
    if isinstance(call["self"], Stored) or old == new:
        call.give(call.reshaped(call["self"], new))
    elif call.kind == "flatten" and new == (*old[: len(new) - 1], math.prod(old[len(new) - 1 :])):
        call.result("flatten", call.live("self"), start_axis=len(new) - 1)
    else:
        call.result("reshape", call.live("self"), shape=new)


@handles("permute", "transpose", "t", "numpy_T", "swapaxes")
def _permute(call: AtenCall) -> None:
    rank = len(call.shape("self"))
    perm = list(range(rank))
    if call.kind == "permute":
        perm = [int(d) % rank for d in call["dims"]]
    elif call.kind in ("transpose", "swapaxes"):
        first, second = (int(d) % rank for d in list(call.args.values())[1:3])
        perm[first], perm[second] = perm[second], perm[first]
    else:
        perm.reverse()
    value = call["self"]
    if isinstance(value, Stored):
        call.give(value.transposed(*perm))
    elif perm == list(range(rank)):
        call.give(value)
    else:
        call.result("transpose", value, perm=tuple(perm))


@handles("cat", "concat", "concatenate")
def _cat(call: AtenCall) -> None:
    tensors = [call.hold(value) for value in call["tensors"]]
    call.result("concat", *tensors, axis=int(call["dim"]))


@handles("stack")
def _stack(call: AtenCall) -> None:
    assert call.type is not None
    axis = int(call["dim"]) % len(call.type.shape)
    shape = (*call.type.shape[:axis], 1, *call.type.shape[axis + 1 :])
    call.result("concat", *(call.hold(call.reshaped(value, shape)) for value in call["tensors"]), axis=axis)


@handles("split", "split_with_sizes", "chunk", "tensor_split", "unbind")
def _split(call: AtenCall) -> None:
    axis = call.axis()
    shapes = [tuple(part.shape) for part in call.node.meta["val"]]
    x = call.live("self")
    if len(shapes) == 1:
        call.give(call.reshaped(x, shapes[0]))
        return
    sizes = (1,) * len(shapes) if call.kind == "unbind" else tuple(shape[axis] for shape in shapes)
    call.result("split", x, sizes=sizes, axis=axis)
    if call.kind == "unbind":
        call.give(*(call.reshaped(part, shape) for part, shape in zip(call.outputs, shapes, strict=True)))


@handles("select")
def _select(call: AtenCall) -> None:
    assert call.type is not None
    axis = call.axis()
    index = int(call["index"]) % call.shape("self")[axis]
    cut = call.take(call.live("self"), axis, [index])
    assert cut is not None
    call.give(call.reshaped(cut, call.type.shape))


@handles("slice", "narrow")
def _slice(call: AtenCall) -> None:
    axis = call.axis()
    size = call.shape("self")[axis]
    if call.kind == "narrow":
        first = int(call["start"]) % size
        picked = range(first, first + int(call["length"]))
    else:
        picked = range(*slice(call["start"], call["end"], call["step"]).indices(size))
    if picked == range(size):
        call.give(call["self"])
    else:
        call.result(
            "slice", call.live("self"), axis=axis, start=picked.start, end=picked[-1] + 1, step=max(picked.step, 1)
        )


@handles("roll")
def _roll(call: AtenCall) -> None:
    """Each rolled axis is two slices, joined the other way round."""
    value = call.live("self")
    if not call["dims"]:
        raise UnsupportedError("no axes")
    for shift, dim in zip(call["shifts"], call["dims"], strict=True):
        shape = call.shape_of(value)
        axis = int(dim) % len(shape)
        cut = -int(shift) % shape[axis]
        if cut:
            back = call.op("slice", value, axis=axis, start=cut, end=shape[axis])
            front = call.op("slice", value, axis=axis, start=0, end=cut)
            value = call.op("concat", back, front, axis=axis)
    call.give(value)


@handles("expand", "expand_as", "broadcast_to")
def _expand(call: AtenCall) -> None:
    assert call.type is not None
    if call.shape("self") == call.type.shape:
        call.drop()
    else:
        call.result("expand", call.live("self"), shape=call.type.shape)


@handles("repeat", "tile")
def _repeat(call: AtenCall) -> None:
    assert call.type is not None
    new = call.type.shape
    padded = (1,) * (len(new) - len(call.shape("self"))) + call.shape("self")
    value = call.hold(call.reshaped(call.live("self"), padded))
    for axis, (old, wanted) in enumerate(zip(padded, new, strict=True)):
        if old == 1 and wanted > 1:
            shape = call.shape_of(value)
            value = call.op("expand", value, shape=(*shape[:axis], wanted, *shape[axis + 1 :]))
        elif old != wanted:
            value = call.op("concat", *[value] * (wanted // old), axis=axis)
    call.give(value)


@handles("pad", "constant_pad_nd")
def _pad(call: AtenCall) -> None:
    if call.args.get("mode", "constant") != "constant":
        raise UnsupportedError(f"mode={call['mode']}")
    rank, listed = len(call.shape("self")), [int(p) for p in call["pad"]]
    if min(listed, default=0) < 0:
        raise UnsupportedError("negative pads")
    pads = [0] * (2 * rank)
    for i in range(len(listed) // 2):  # torch lists pairs from the last axis backwards
        pads[rank - 1 - i], pads[2 * rank - 1 - i] = listed[2 * i], listed[2 * i + 1]
    call.result("pad", call.live("self"), pads=tuple(pads), value=float(call["value"] or 0))


@handles("upsample_nearest2d", "upsample_bilinear2d")
def _upsample(call: AtenCall) -> None:
    assert call.type is not None
    if call.args.get("align_corners"):
        raise UnsupportedError("align_corners=True")
    name = "input" if "input" in call.args else "self"
    old, new = call.shape(name)[2:], call.type.shape[2:]
    factors = call.args.get("scale_factors")
    if factors and any(math.floor(a * f) != a * f for a, f in zip(old, factors, strict=True)):
        raise UnsupportedError("a scale_factor that gives no whole size")  # torch then samples by the factor itself
    call.result("upsample", call.live(name), size=new, mode="nearest" if "nearest" in call.kind else "bilinear")


@handles("channel_shuffle")
def _channel_shuffle(call: AtenCall) -> None:
    call.result("channel_shuffle", call.live("self"), groups=call["groups"])


@handles("pixel_shuffle")
def _pixel_shuffle(call: AtenCall) -> None:
    (n, c, h, w), r = call.shape("self"), call["upscale_factor"]
    parts = call.op("reshape", call.live("self"), shape=(n, c // (r * r), r, r, h, w))
    parts = call.op("transpose", parts, perm=(0, 1, 4, 2, 5, 3))
    call.result("reshape", parts, shape=(n, c // (r * r), h * r, w * r))


@handles("pixel_unshuffle")
def _pixel_unshuffle(call: AtenCall) -> None:
    (n, c, h, w), r = call.shape("self"), call["downscale_factor"]
    parts = call.op("reshape", call.live("self"), shape=(n, c, h // r, r, w // r, r))
    parts = call.op("transpose", parts, perm=(0, 1, 3, 5, 2, 4))
    call.result("reshape", parts, shape=(n, c * r * r, h // r, w // r))
