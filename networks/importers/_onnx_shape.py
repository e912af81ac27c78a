"""ONNX handlers of what moves data: shapes, cuts, joins, borders, resizing."""

import math

from ._draft import UnsupportedError
from ._onnx_graph import Call, handles


@handles("Reshape")
def _reshape(call: Call) -> None:
    old = call.shape(0)
    shape = call.ints(1, "a shape")
    if not call.attr("allowzero", 0):
        shape = [old[i] if d == 0 else d for i, d in enumerate(shape)]
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(old) // rest if rest > 0 else 0
    if math.prod(shape) != math.prod(old) or min(shape, default=1) < 0:
        raise ValueError(f"{old} does not fit into {shape}")
    _give_shape(call, tuple(shape))


def _give_shape(call: Call, shape: tuple[int, ...]) -> None:
    """The first input in another shape."""
    if call.stored(0) is None:
        call.result("reshape", call.live(0), shape=shape)
    else:
        call.give(call.reshaped(call.value(0), shape))


@handles("Flatten")
def _flatten(call: Call) -> None:
    shape, axis = call.shape(0), call.attr("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    if axis == 1 and len(shape) > 1 and call.stored(0) is None:
        call.result("flatten", call.live(0))
    else:
        _give_shape(call, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def _axes(call: Call, rank: int) -> list[int] | None:
    axes = call.attr("axes")
    if axes is None and call.has(1):
        axes = call.ints(1, "axes")
    if axes is not None and not all(-rank <= axis < rank for axis in axes):
        raise ValueError(f"axes {axes} of {rank}")
    return None if axes is None else [axis % rank for axis in axes]


@handles("Squeeze")
def _squeeze(call: Call) -> None:
    shape = call.shape(0)
    axes = _axes(call, len(shape))
    _give_shape(call, tuple(d for i, d in enumerate(shape) if d != 1 or (axes is not None and i not in axes)))


@handles("Unsqueeze")
def _unsqueeze(call: Call) -> None:
    old = call.shape(0)
    count = len(call.attr("axes") or call.ints(1, "axes"))
    axes = _axes(call, len(old) + count) or []
    rest = iter(old)
    _give_shape(call, tuple(1 if i in axes else next(rest) for i in range(len(old) + count)))


@handles("Transpose")
def _transpose(call: Call) -> None:
    perm = tuple(call.attr("perm", range(len(call.shape(0)))[::-1]))
    tensor = call.stored(0)
    if tensor is not None:
        call.give(tensor.transposed(*perm))
    else:
        call.result("transpose", call.live(0), perm=perm)


@handles("Concat")
def _concat(call: Call) -> None:
    call.result("concat", *(call.live(i) for i in range(len(call.inputs))), axis=call.attr("axis"))


@handles("Split")
def _split(call: Call) -> None:
    axis = call.attr("axis", 0) % len(call.shape(0))
    size, count = call.shape(0)[axis], len(call.node.output)
    sizes = call.attr("split") or (call.ints(1, "sizes") if call.has(1) else None)
    if sizes is None:
        each = -(-size // count)
        sizes = [min(each, size - i * each) for i in range(count)]
    if len(sizes) == 1:
        call.drop()
    else:
        call.result("split", call.live(0), sizes=tuple(sizes), axis=axis)


@handles("Slice")
def _slice(call: Call) -> None:
    shape = call.shape(0)
    if call.has(1):
        starts, ends = call.ints(1, "starts"), call.ints(2, "ends")
        axes = call.ints(3, "axes") if call.has(3) else list(range(len(starts)))
        steps = call.ints(4, "steps") if call.has(4) else [1] * len(starts)
    else:
        starts, ends = call.attr("starts"), call.attr("ends")
        axes, steps = call.attr("axes", list(range(len(starts)))), [1] * len(starts)
    value = call.live(0)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise UnsupportedError("a negative step")
        size = shape[axis % len(shape)]
        first, behind, _ = slice(start, end, step).indices(size)
        if (first, behind, step) != (0, size, 1):
            value = call.op("slice", value, axis=axis % len(shape), start=first, end=behind, step=step)
    call.give(value)


@handles("Pad")
def _pad(call: Call) -> None:
    if call.attr("mode", "constant") != "constant":
        raise UnsupportedError(f"mode={call.attr('mode')}")
    rank = len(call.shape(0))
    pads = call.attr("pads") or call.attr("paddings") or call.ints(1, "pads")
    value = float(call.known(2, "a value").ravel()[0]) if call.has(2) else call.attr("value", 0.0)
    if call.has(3):
        axes, some = [axis % rank for axis in call.ints(3, "axes")], pads
        pads = [0] * (2 * rank)
        for i, axis in enumerate(axes):
            pads[axis], pads[axis + rank] = some[i], some[i + len(axes)]
    if min(pads) < 0:
        raise UnsupportedError("negative pads")
    if any(pads):
        call.result("pad", call.live(0), pads=tuple(pads), value=value)
    else:
        call.drop()


@handles("Expand")
def _expand(call: Call) -> None:
    shape, wanted = call.shape(0), call.ints(1, "a shape")
    rank = max(len(shape), len(wanted))
    old, new = ([1] * (rank - len(dims)) + list(dims) for dims in (shape, wanted))
    full = tuple(max(a, b) for a, b in zip(old, new, strict=True))
    if full == shape:
        call.drop()
    else:
        call.result("expand", call.live(0), shape=full)


@handles("Tile")
def _tile(call: Call) -> None:
    value, shape = call.live(0), call.shape(0)
    for axis, times in enumerate(call.ints(1, "repeats")):
        if times > 1 and shape[axis] == 1:
            now = call.draft.types[value].shape
            value = call.op("expand", value, shape=(*now[:axis], times, *now[axis + 1 :]))
        elif times > 1024:
            raise UnsupportedError("over 1024 repeats")
        elif times > 1:
            value = call.op("concat", *[value] * times, axis=axis)
    call.give(value)


@handles("Resize", "Upsample")
def _resize(call: Call) -> None:
    old = call.shape(0)
    size = _resized(call, old)
    mode = call.attr("mode", "nearest")
    where = call.attr("coordinate_transformation_mode", "asymmetric" if call.opset < 11 else "half_pixel")
    whole = all(b % a == 0 for a, b in zip(old, size, strict=True))
    if len(old) != 4 or old[:2] != size[:2]:
        raise UnsupportedError(f"sizes {old} to {size}")
    if mode == "nearest":
        floor = where == "asymmetric" and (call.opset < 11 or call.attr("nearest_mode", "") == "floor")
        # All other roundings of whole factors pick the same pixels, except that of asymmetric positions.
        if not floor and not (whole and where in ("half_pixel", "pytorch_half_pixel")):
            raise UnsupportedError(f"mode=nearest, coordinate_transformation_mode={where}")
    elif mode == "linear":
        if where not in ("half_pixel", "pytorch_half_pixel") or call.attr("antialias", 0):
            raise UnsupportedError(f"mode=linear, coordinate_transformation_mode={where}")
    else:
        raise UnsupportedError(f"mode={mode}")
    if size == old:
        call.drop()
    else:
        call.result("upsample", call.live(0), size=size[2:], mode="nearest" if mode == "nearest" else "bilinear")


def _resized(call: Call, old: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a Resize's output."""
    scales_at = 2 if call.node.op_type == "Resize" and call.opset >= 11 else 1
    axes = [axis % len(old) for axis in call.attr("axes", range(len(old)))]
    sizes = call.stored(3)
    size: list[int] = list(old)
    if call.has(3) and (sizes is None or 0 not in sizes.shape):
        if call.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnsupportedError("keep_aspect_ratio_policy")
        for axis, value in zip(axes, call.ints(3, "sizes"), strict=True):
            size[axis] = value
        return tuple(size)
    scales = call.attr("scales") or call.known(scales_at, "scales").ravel().tolist()
    for axis, scale in zip(axes, scales, strict=True):
        size[axis] = math.floor(old[axis] * scale)
    return tuple(size)


@handles("DepthToSpace")
def _depth_to_space(call: Call) -> None:
    (n, c, h, w), b = call.shape(0), call.attr("blocksize")
    columns_first = call.attr("mode", "DCR") == "CRD"
    split = (n, c // (b * b), b, b, h, w) if columns_first else (n, b, b, c // (b * b), h, w)
    perm = (0, 1, 4, 2, 5, 3) if columns_first else (0, 3, 4, 1, 5, 2)
    parts = call.op("transpose", call.op("reshape", call.live(0), shape=split), perm=perm)
    call.result("reshape", parts, shape=(n, c // (b * b), h * b, w * b))


@handles("SpaceToDepth")
def _space_to_depth(call: Call) -> None:
    (n, c, h, w), b = call.shape(0), call.attr("blocksize")
    parts = call.op("reshape", call.live(0), shape=(n, c, h // b, b, w // b, b))
    parts = call.op("transpose", parts, perm=(0, 3, 5, 1, 2, 4))
    call.result("reshape", parts, shape=(n, c * b * b, h // b, w // b))
