"""Convolutions in one and two dimensions, and transposed; depthwise, pointwise and dilated are attributes."""

import math
from typing import TYPE_CHECKING, ClassVar

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn


def out_size(size: int, kernel: int, stride: int, pads: int, dilation: int, *, ceil: bool = False) -> int:
    """Output length of a sliding window along one axis; ``pads`` is the sum of both sides."""
    reach = size + pads - dilation * (kernel - 1) - 1
    steps = -(-reach // stride) if ceil else reach // stride
    return max(steps + 1, 0)


def check_image(op: Op, rank: int) -> TensorType:
    """The first input, which must be N x C x spatial dims."""
    x = op.inputs[0]
    if x.rank != rank:
        raise ShapeError(f"{op.kind} takes a {rank}-dimensional input, not {x}")
    return x


def check_groups(op: Op, in_channels: int, out_channels: int) -> None:
    """Groups must divide both channel counts."""
    if in_channels % op["groups"] or out_channels % op["groups"]:
        raise ShapeError(f"{op.kind}: {op['groups']} groups do not divide {in_channels} -> {out_channels} channels")


def _conv_attrs(rank: int) -> dict[str, Attr]:
    return {
        "out_channels": Attr("int", "number of filters", minimum=1),
        "kernel_size": Attr("ints", "window per spatial axis", length=rank, minimum=1),
        "stride": Attr("ints", "step per spatial axis", (1,) * rank, length=rank, minimum=1),
        "padding": Attr("ints", "zeros before every axis, then after", (0,) * (2 * rank), length=2 * rank, minimum=0),
        "dilation": Attr("ints", "spacing of the taps", (1,) * rank, length=rank, minimum=1),
        "groups": Attr("int", "independent slices of the channels", 1, minimum=1),
        "bias": Attr("bool", "adds one learned number per filter", True),
    }


class _Conv(OpSpec):
    """What one- and two-dimensional convolutions share; ``rank`` is the number of spatial axes."""

    family = "convolution"
    rank: ClassVar[int]

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = check_image(op, self.rank + 2)
        check_groups(op, x.shape[1], op["out_channels"])
        pads = op["padding"]
        spatial = tuple(
            out_size(size, op["kernel_size"][i], op["stride"][i], pads[i] + pads[i + self.rank], op["dilation"][i])
            for i, size in enumerate(x.shape[2:])
        )
        if min(spatial) < 1:
            raise ShapeError(f"{op.kind}: window {op['kernel_size']} does not fit into {x} with padding {pads}")
        return (x.with_shape(x.shape[0], op["out_channels"], *spatial),)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        shape = (op["out_channels"], op.inputs[0].shape[1] // op["groups"], *op["kernel_size"])
        return {"weight": shape} | ({"bias": (op["out_channels"],)} if op["bias"] else {})

    def macs(self, op: Op) -> int:
        return op.outputs[0].numel * math.prod(op.weights["weight"][1:])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        weights = tuple(emit.weight(name) for name in op.weights)
        emit.node(
            "Conv",
            (emit.inputs[0], *weights),
            emit.outputs,
            kernel_shape=op["kernel_size"],
            strides=op["stride"],
            pads=op["padding"],
            dilations=op["dilation"],
            group=op["groups"],
        )

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        before, after = op["padding"][: self.rank], op["padding"][self.rank :]
        conv_class, pad_class = ((nn.Conv1d, nn.ConstantPad1d), (nn.Conv2d, nn.ConstantPad2d))[self.rank - 1]
        conv = conv_class(
            op.inputs[0].shape[1],
            op["out_channels"],
            op["kernel_size"],
            op["stride"],
            before if before == after else 0,
            op["dilation"],
            op["groups"],
            op["bias"],
        )
        if before == after:
            return conv
        # Torch lists pads from the last axis backwards; the hook keeps the weights directly on the convolution.
        pads = tuple(p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair)
        pad = pad_class(pads, 0.0)
        conv.register_forward_pre_hook(lambda _module, args: (pad(args[0]),))
        return conv


@register
class Conv2d(_Conv):
    """Convolution over N x C x H x W."""

    kind, summary = "conv2d", "two-dimensional convolution: dense, grouped, depthwise, pointwise or dilated"
    attributes: ClassVar = _conv_attrs(2)
    rank = 2

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 6, 9, 11))
        return (
            make_op("conv2d", x, out_channels=4, kernel_size=3, padding=1),
            make_op("conv2d", x, out_channels=6, kernel_size=3, groups=6, stride=2, padding=1, bias=False),
            make_op("conv2d", x, out_channels=5, kernel_size=1),
            make_op("conv2d", x, out_channels=4, kernel_size=3, groups=2, dilation=2, padding=(2, 1)),
            make_op("conv2d", x, out_channels=3, kernel_size=(3, 5), stride=2, padding=(0, 1, 1, 2)),
        )


@register
class Conv1d(_Conv):
    """Convolution over N x C x L."""

    kind, summary = "conv1d", "one-dimensional convolution"
    attributes: ClassVar = _conv_attrs(1)
    rank = 1

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 4, 17))
        return (
            make_op("conv1d", x, out_channels=6, kernel_size=3, padding=1),
            make_op("conv1d", x, out_channels=4, kernel_size=5, stride=2, groups=4, padding=(2, 1), bias=False),
        )


@register
class ConvTranspose2d(OpSpec):
    """Transposed convolution over N x C x H x W: the gradient of `Conv2d` with respect to its input."""

    kind, family, summary = "conv_transpose2d", "convolution", "two-dimensional transposed convolution"
    attributes: ClassVar = {
        "out_channels": Attr("int", "number of output channels", minimum=1),
        "kernel_size": Attr("ints", "window per spatial axis", length=2, minimum=1),
        "stride": Attr("ints", "step of the output per input pixel", (1, 1), length=2, minimum=1),
        "padding": Attr("ints", "rows and columns cut off on both sides", (0, 0), length=2, minimum=0),
        "output_padding": Attr("ints", "rows and columns added at the end", (0, 0), length=2, minimum=0),
        "dilation": Attr("ints", "spacing of the taps", (1, 1), length=2, minimum=1),
        "groups": Attr("int", "independent slices of the channels", 1, minimum=1),
        "bias": Attr("bool", "adds one learned number per channel", True),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = check_image(op, 4)
        check_groups(op, x.shape[1], op["out_channels"])
        spatial = tuple(
            (size - 1) * op["stride"][i]
            - 2 * op["padding"][i]
            + op["dilation"][i] * (op["kernel_size"][i] - 1)
            + op["output_padding"][i]
            + 1
            for i, size in enumerate(x.shape[2:])
        )
        if min(spatial) < 1:
            raise ShapeError(f"{op.kind}: padding {op['padding']} leaves nothing of the output of {x}")
        return (x.with_shape(x.shape[0], op["out_channels"], *spatial),)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        shape = (op.inputs[0].shape[1], op["out_channels"] // op["groups"], *op["kernel_size"])
        return {"weight": shape} | ({"bias": (op["out_channels"],)} if op["bias"] else {})

    def macs(self, op: Op) -> int:
        return op.inputs[0].numel * math.prod(op.weights["weight"][1:])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node(
            "ConvTranspose",
            (emit.inputs[0], *(emit.weight(name) for name in op.weights)),
            emit.outputs,
            kernel_shape=op["kernel_size"],
            strides=op["stride"],
            pads=op["padding"] * 2,
            output_padding=op["output_padding"],
            dilations=op["dilation"],
            group=op["groups"],
        )

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.ConvTranspose2d(
            op.inputs[0].shape[1],
            op["out_channels"],
            op["kernel_size"],
            op["stride"],
            op["padding"],
            op["output_padding"],
            op["groups"],
            op["bias"],
            op["dilation"],
        )

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((1, 4, 5, 6))
        return (
            make_op("conv_transpose2d", x, out_channels=3, kernel_size=2, stride=2),
            make_op(
                "conv_transpose2d",
                x,
                out_channels=4,
                kernel_size=3,
                stride=2,
                padding=1,
                output_padding=1,
                groups=2,
            ),
        )
