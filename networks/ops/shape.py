"""Ops that move or rename data without computing: joining, cutting, padding, permuting, reshaping."""

import math
from typing import TYPE_CHECKING, ClassVar

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn


def check_axis(op: Op, axis: int) -> int:
    """``axis`` of the first input, counted from the front."""
    rank = op.inputs[0].rank
    if not -rank <= axis < rank:
        raise ShapeError(f"{op.kind}: {op.inputs[0]} has no axis {axis}")
    return axis % rank


@register
class Concat(OpSpec):
    kind, family, summary = "concat", "data movement", "tensors joined along one axis"
    arity = (1, None)
    attributes: ClassVar = {"axis": Attr("int", "the axis that grows", 1)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        axis, first = check_axis(op, op["axis"]), op.inputs[0]
        for other in op.inputs[1:]:
            if other.dtype != first.dtype or other.rank != first.rank:
                raise ShapeError(f"concat cannot join {first} and {other}")
            if any(a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != axis):
                raise ShapeError(f"concat cannot join {first} and {other} along axis {axis}")
        total = sum(t.shape[axis] for t in op.inputs)
        return (first.with_shape(*first.shape[:axis], total, *first.shape[axis + 1 :]),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node("Concat", emit.inputs, emit.outputs, axis=op["axis"])

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        return Functional(op.kind, lambda *xs: torch.cat(xs, op["axis"]), f"torch.cat(({{inputs}},), {op['axis']})")

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (make_op("concat", x, x.with_shape(2, 6, 4, 5)), make_op("concat", x, x, x, axis=-1))


@register
class Split(OpSpec):
    """Cuts one axis into consecutive parts, one output each."""

    kind, family, summary = "split", "data movement", "one axis cut into consecutive parts"
    attributes: ClassVar = {
        "sizes": Attr("ints", "length of each part", minimum=1),
        "axis": Attr("int", "the axis that is cut", 1),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        axis, x = check_axis(op, op["axis"]), op.inputs[0]
        if sum(op["sizes"]) != x.shape[axis]:
            raise ShapeError(f"split: parts {op['sizes']} do not add up to axis {axis} of {x}")
        return tuple(x.with_shape(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in op["sizes"])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        sizes = emit.constant(list(op["sizes"]), "int64")
        emit.node("Split", (emit.inputs[0], sizes), emit.outputs, axis=op["axis"])

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional

        return Functional(
            op.kind, lambda x: x.split(op["sizes"], op["axis"]), f"{{0}}.split({op['sizes']}, {op['axis']})"
        )

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 6, 4))
        return (make_op("split", x, sizes=(3, 3)), make_op("split", x, sizes=(1, 3), axis=-1))


@register
class Slice(OpSpec):
    """Every ``step``-th element of one axis from ``start`` up to ``end``."""

    kind, family, summary = "slice", "data movement", "a range of one axis"
    attributes: ClassVar = {
        "axis": Attr("int", "the axis that is cut"),
        "start": Attr("int", "first index", 0, minimum=0),
        "end": Attr("int", "index behind the last; clamped to the axis", (1 << 31) - 1, minimum=1),
        "step": Attr("int", "distance of the elements", 1, minimum=1),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        axis, x = check_axis(op, op["axis"]), op.inputs[0]
        size = len(range(*slice(op["start"], op["end"], op["step"]).indices(x.shape[axis])))
        if size < 1:
            raise ShapeError(f"slice: {op['start']}:{op['end']}:{op['step']} of axis {axis} of {x} is empty")
        return (x.with_shape(*x.shape[:axis], size, *x.shape[axis + 1 :]),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        ranges = (emit.constant([op[name]], "int64") for name in ("start", "end", "axis", "step"))
        emit.node("Slice", (emit.inputs[0], *ranges), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional

        axis = op["axis"] % op.inputs[0].rank
        cut = (slice(None),) * axis + (slice(op["start"], op["end"], op["step"]),)
        code = ", ".join([":"] * axis + [f"{op['start']}:{op['end']}:{op['step']}"])
        return Functional(op.kind, lambda x: x[cut], f"{{0}}[{code}]")

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 6, 5))
        return (make_op("slice", x, axis=1, start=1, end=4), make_op("slice", x, axis=-1, step=2))


@register
class Pad(OpSpec):
    kind, family, summary = "pad", "data movement", "a constant border"
    attributes: ClassVar = {
        "pads": Attr("ints", "elements added before every axis, then behind every axis", minimum=0),
        "value": Attr("float", "what the border holds", 0.0),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x, pads = op.inputs[0], op["pads"]
        if len(pads) != 2 * x.rank:
            raise ShapeError(f"pad: {x} needs {2 * x.rank} pads, not {len(pads)}")
        return (x.with_shape(*(d + pads[i] + pads[i + x.rank] for i, d in enumerate(x.shape))),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        pads = emit.constant(list(op["pads"]), "int64")
        emit.node("Pad", (emit.inputs[0], pads, emit.constant(op["value"], op.dtype)), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch.nn import functional

        from ._torch import Functional

        rank = op.inputs[0].rank
        pairs = [(op["pads"][i], op["pads"][i + rank]) for i in reversed(range(rank))]
        flat = [p for pair in pairs for p in pair]
        code = f"functional.pad({{0}}, {flat}, value=float('{op['value']}'))"
        return Functional(op.kind, lambda x: functional.pad(x, flat, value=op["value"]), code)

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (
            make_op("pad", x, pads=(0, 0, 1, 2, 0, 0, 0, 1)),
            make_op("pad", x, pads=(0, 1, 0, 0) * 2, value=1.5),
        )


@register
class ChannelShuffle(OpSpec):
    """Channels g x C/g transposed to C/g x g (ShuffleNet v1, section 3.1): no MACs, all of the data moves."""

    kind, family, summary = "channel_shuffle", "data movement", "channels of grouped convolutions interleaved"
    attributes: ClassVar = {"groups": Attr("int", "number of groups that are interleaved", minimum=1)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if x.rank != 4 or x.shape[1] % op["groups"]:
            raise ShapeError(f"channel_shuffle: {op['groups']} groups do not divide the channels of {x}")
        return (x,)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        n, c, h, w = op.inputs[0].shape
        grouped = emit.constant([n, op["groups"], c // op["groups"], h, w], "int64")
        turned = emit.node("Transpose", (emit.node("Reshape", (emit.inputs[0], grouped)),), perm=(0, 2, 1, 3, 4))
        emit.node("Reshape", (turned, emit.constant([n, c, h, w], "int64")), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.ChannelShuffle(op["groups"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 12, 3, 4))
        return (make_op("channel_shuffle", x, groups=3), make_op("channel_shuffle", x, groups=2))


@register
class Transpose(OpSpec):
    kind, family, summary = "transpose", "data movement", "axes in another order"
    attributes: ClassVar = {"perm": Attr("ints", "which input axis each output axis is", minimum=0)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if sorted(op["perm"]) != list(range(x.rank)):
            raise ShapeError(f"transpose: {op['perm']} is not an order of the axes of {x}")
        return (x.with_shape(*(x.shape[p] for p in op["perm"])),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node("Transpose", emit.inputs, emit.outputs, perm=op["perm"])

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional

        return Functional(op.kind, lambda x: x.permute(op["perm"]), f"{{0}}.permute({op['perm']})")

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (make_op("transpose", x, perm=(0, 2, 3, 1)), make_op("transpose", x, perm=(3, 1, 0, 2)))


@register
class Reshape(OpSpec):
    """The same elements in another shape; one dimension may be -1."""

    kind, family, summary = "reshape", "data movement", "the same elements in another shape"
    attributes: ClassVar = {"shape": Attr("ints", "wanted shape; one -1 is worked out", minimum=-1)}
    is_view = True

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x, shape = op.inputs[0], list(op["shape"])
        if shape.count(-1) > 1:
            raise ShapeError(f"reshape: {op['shape']} leaves more than one dimension open")
        if -1 in shape:
            known = -math.prod(shape)
            shape[shape.index(-1)] = x.numel // known if known else 0
        if math.prod(shape) != x.numel:
            raise ShapeError(f"reshape: {x} does not fit into {op['shape']}")
        return (x.with_shape(*shape),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        shape = emit.constant(list(op["shape"]), "int64")
        emit.node("Reshape", (emit.inputs[0], shape), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional

        return Functional(op.kind, lambda x: x.reshape(op["shape"]), f"{{0}}.reshape({op['shape']})")

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4))
        return (make_op("reshape", x, shape=(6, 4)), make_op("reshape", x, shape=(2, -1)))


@register
class Flatten(OpSpec):
    """Axes from ``start_axis`` on become one."""

    kind, family, summary = "flatten", "data movement", "the last axes joined into one"
    attributes: ClassVar = {"start_axis": Attr("int", "first axis that is joined", 1, minimum=0)}
    is_view = True

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x, start = op.inputs[0], check_axis(op, op["start_axis"])
        return (x.with_shape(*x.shape[:start], math.prod(x.shape[start:])),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        if op["start_axis"] == 1:
            emit.node("Flatten", emit.inputs, emit.outputs, axis=1)
        else:  # ONNX's Flatten also joins the leading axes
            emit.node("Reshape", (emit.inputs[0], emit.constant(list(op.outputs[0].shape), "int64")), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.Flatten(op["start_axis"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (make_op("flatten", x), make_op("flatten", x, start_axis=2))


@register
class Expand(OpSpec):
    """Axes of size 1 repeated up to ``shape``."""

    kind, family, summary = "expand", "data movement", "axes of size 1 repeated"
    attributes: ClassVar = {"shape": Attr("ints", "shape of the output", minimum=1)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x, shape = op.inputs[0], op["shape"]
        padded = (1,) * (len(shape) - x.rank) + x.shape
        if len(shape) < x.rank or any(a not in (1, b) for a, b in zip(padded, shape, strict=True)):
            raise ShapeError(f"expand: {x} does not repeat to {shape}")
        return (x.with_shape(*shape),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node("Expand", (emit.inputs[0], emit.constant(list(op["shape"]), "int64")), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional

        return Functional(op.kind, lambda x: x.expand(op["shape"]), f"{{0}}.expand({op['shape']})")

    def examples(self) -> tuple[Op, ...]:
        return (make_op("expand", TensorType((1, 1, 4)), shape=(3, 1, 4)),)


@register
class Upsample(OpSpec):
    """N x C x H x W resized by interpolation with half-pixel centres (corners not aligned)."""

    kind, family, summary = "upsample", "data movement", "image resized by nearest or bilinear interpolation"
    tolerance = 1e-8
    attributes: ClassVar = {
        "size": Attr("ints", "(height, width) of the output", length=2, minimum=1),
        "mode": Attr("str", "interpolation", "nearest", choices=("nearest", "bilinear")),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if x.rank != 4:
            raise ShapeError(f"upsample takes N x C x H x W, not {x}")
        return (x.with_shape(*x.shape[:2], *op["size"]),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        sizes = emit.constant(list(op.outputs[0].shape), "int64")
        nearest = op["mode"] == "nearest"
        emit.node(
            "Resize",
            (emit.inputs[0], "", "", sizes),
            emit.outputs,
            mode="nearest" if nearest else "linear",
            coordinate_transformation_mode="asymmetric" if nearest else "half_pixel",
            nearest_mode="floor",
        )

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.Upsample(size=op["size"], mode=op["mode"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (make_op("upsample", x, size=(8, 10)), make_op("upsample", x, size=(9, 7), mode="bilinear"))
