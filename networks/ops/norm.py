"""Normalisation layers. Scale and shift are the trained weights; batch norm also keeps running statistics."""

from typing import TYPE_CHECKING, ClassVar

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn

_EPS = Attr("float", "added to the variance", 1e-5)
_AFFINE = Attr("bool", "learned scale and shift", True)


def _scale_and_shift(op: Op, channels: int) -> dict[str, tuple[int, ...]]:
    return {"weight": (channels,), "bias": (channels,)} if op["affine"] else {}


def _affine_names(op: Op, emit: OnnxEmitter, channels: int) -> tuple[str, str]:
    if op["affine"]:
        return emit.weight("weight"), emit.weight("bias")
    return emit.constant([1.0] * channels, op.dtype), emit.constant([0.0] * channels, op.dtype)


@register
class BatchNorm(OpSpec):
    """Normalises each channel (axis 1) by its running mean and variance; runtimes fold it into a convolution."""

    kind, family, summary = "batch_norm", "normalisation", "per-channel normalisation by running statistics"
    attributes: ClassVar = {
        "eps": _EPS,
        "affine": _AFFINE,
        "momentum": Attr("float", "of the statistics", 0.1),
    }
    in_place = True

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        if not 2 <= op.inputs[0].rank <= 4:
            raise ShapeError(f"batch_norm takes N x C [x L | x H x W], not {op.inputs[0]}")
        return (op.inputs[0],)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return _scale_and_shift(op, op.inputs[0].shape[1])

    def buffers(self, op: Op) -> dict[str, tuple[int, ...]]:
        return {"running_mean": (op.inputs[0].shape[1],), "running_var": (op.inputs[0].shape[1],)}

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        scale, shift = _affine_names(op, emit, op.inputs[0].shape[1])
        statistics = (emit.weight("running_mean"), emit.weight("running_var"))
        attrs = {"epsilon": op["eps"], "momentum": 1 - op["momentum"]}  # ONNX weighs the old statistics
        emit.node("BatchNormalization", (emit.inputs[0], scale, shift, *statistics), emit.outputs, **attrs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        classes = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
        return classes[op.inputs[0].rank](op.inputs[0].shape[1], op["eps"], op["momentum"], op["affine"])

    def examples(self) -> tuple[Op, ...]:
        return (
            make_op("batch_norm", TensorType((2, 5, 4, 3))),
            make_op("batch_norm", TensorType((3, 5)), eps=1e-3, affine=False),
        )


@register
class LayerNorm(OpSpec):
    """Normalises over the last axis."""

    kind, family, summary = "layer_norm", "normalisation", "normalisation over the last axis"
    attributes: ClassVar = {"eps": _EPS, "affine": _AFFINE}
    tolerance = 1e-8

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return _scale_and_shift(op, op.inputs[0].shape[-1])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        affine = _affine_names(op, emit, op.inputs[0].shape[-1])
        emit.node("LayerNormalization", (emit.inputs[0], *affine), emit.outputs, axis=-1, epsilon=op["eps"])

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.LayerNorm(op.inputs[0].shape[-1], op["eps"], op["affine"])

    def examples(self) -> tuple[Op, ...]:
        return (
            make_op("layer_norm", TensorType((2, 5, 8))),
            make_op("layer_norm", TensorType((3, 8)), affine=False),
        )


@register
class GroupNorm(OpSpec):
    """Normalises over groups of channels (axis 1) and all spatial axes."""

    kind, family, summary = "group_norm", "normalisation", "normalisation over groups of channels"
    attributes: ClassVar = {
        "groups": Attr("int", "number of groups", minimum=1),
        "eps": _EPS,
        "affine": _AFFINE,
    }
    tolerance = 1e-8

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if x.rank < 3 or x.shape[1] % op["groups"]:
            raise ShapeError(f"group_norm: {op['groups']} groups do not divide the channels of {x}")
        return (x,)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return _scale_and_shift(op, op.inputs[0].shape[1])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        x = op.inputs[0]
        channels, spatial = x.shape[1], (1,) * (x.rank - 2)
        grouped = emit.node("Reshape", (emit.inputs[0], emit.constant([x.shape[0], op["groups"], -1], "int64")))
        ones, zeros = (emit.constant([value] * op["groups"], op.dtype) for value in (1.0, 0.0))
        normal = emit.node("InstanceNormalization", (grouped, ones, zeros), epsilon=op["eps"])
        shape = emit.constant(list(x.shape), "int64")
        if not op["affine"]:
            emit.node("Reshape", (normal, shape), emit.outputs)
            return
        column = emit.constant([channels, *spatial], "int64")
        scale, shift = (emit.node("Reshape", (emit.weight(name), column)) for name in ("weight", "bias"))
        scaled = emit.node("Mul", (emit.node("Reshape", (normal, shape)), scale))
        emit.node("Add", (scaled, shift), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.GroupNorm(op["groups"], op.inputs[0].shape[1], op["eps"], op["affine"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 6, 4, 3))
        return (make_op("group_norm", x, groups=3), make_op("group_norm", x, groups=1, affine=False))


@register
class RmsNorm(OpSpec):
    """Divides by the root mean square of the last axis (no mean is subtracted, no shift)."""

    kind, family, summary = "rms_norm", "normalisation", "division by the root mean square of the last axis"
    attributes: ClassVar = {"eps": Attr("float", "added to the mean square", 1e-6), "affine": _AFFINE}
    tolerance = 1e-8

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return {"weight": (op.inputs[0].shape[-1],)} if op["affine"] else {}

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        x = emit.inputs[0]
        mean = emit.node("ReduceMean", (emit.node("Mul", (x, x)),), axes=(-1,), keepdims=1)
        root = emit.node("Sqrt", (emit.node("Add", (mean, emit.constant(op["eps"], op.dtype))),))
        if op["affine"]:
            emit.node("Mul", (emit.node("Div", (x, root)), emit.weight("weight")), emit.outputs)
        else:
            emit.node("Div", (x, root), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.RMSNorm(op.inputs[0].shape[-1], op["eps"], op["affine"])

    def examples(self) -> tuple[Op, ...]:
        return (
            make_op("rms_norm", TensorType((2, 5, 8))),
            make_op("rms_norm", TensorType((3, 8)), affine=False),
        )
