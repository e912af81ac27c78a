"""Pooling over N x C x H x W."""

from typing import TYPE_CHECKING, ClassVar

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register
from .conv import check_image, out_size

if TYPE_CHECKING:
    from torch import nn

_WINDOW = {
    "kernel_size": Attr("ints", "window (height, width)", length=2, minimum=1),
    "stride": Attr("ints", "step (height, width)", (1, 1), length=2, minimum=1),
    "padding": Attr("ints", "rows and columns added (top, left, bottom, right)", (0,) * 4, length=4, minimum=0),
    "ceil_mode": Attr("bool", "a last window that sticks out of the image counts", False),
}


class _WindowPool(OpSpec):
    family = "pooling"

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = check_image(op, 4)
        kernel, stride, pads = op["kernel_size"], op["stride"], op["padding"]
        sizes = []
        for i, size in enumerate(x.shape[2:]):
            if max(pads[i], pads[i + 2]) * 2 > kernel[i]:
                raise ShapeError(f"{op.kind}: padding {pads} is over half of the window {kernel}")
            out = out_size(size, kernel[i], stride[i], pads[i] + pads[i + 2], 1, ceil=op["ceil_mode"])
            # A window that would begin in the padding behind the image is dropped, as torch and ONNX do.
            if op["ceil_mode"] and (out - 1) * stride[i] >= size + pads[i]:
                out -= 1
            sizes.append(out)
        if min(sizes) < 1:
            raise ShapeError(f"{op.kind}: window {kernel} does not fit into {x} with padding {pads}")
        return (x.with_shape(*x.shape[:2], *sizes),)

    def onnx_ceil_mode(self, op: Op) -> int:
        """1 only where it adds a window; ONNX's shape inference keeps those in the padding that are dropped here."""
        pads = op["padding"]
        floor = tuple(
            out_size(size, op["kernel_size"][i], op["stride"][i], pads[i] + pads[i + 2], 1)
            for i, size in enumerate(op.inputs[0].shape[2:])
        )
        return int(op["ceil_mode"] and op.outputs[0].shape[2:] != floor)

    def symmetric_padding(self, op: Op) -> tuple[int, int] | None:
        """Padding as torch takes it, or None where the two sides differ."""
        top, left, bottom, right = op["padding"]
        return (top, left) if (top, left) == (bottom, right) else None


@register
class MaxPool2d(_WindowPool):
    kind, summary = "max_pool2d", "largest value in a sliding window"
    attributes: ClassVar = _WINDOW

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node(
            "MaxPool",
            emit.inputs,
            emit.outputs,
            kernel_shape=op["kernel_size"],
            strides=op["stride"],
            pads=op["padding"],
            ceil_mode=self.onnx_ceil_mode(op),
        )

    def module(self, op: Op) -> "nn.Module":
        from torch import nn
        from torch.nn import functional

        from ._torch import Functional

        padding = self.symmetric_padding(op)
        if padding is not None:
            return nn.MaxPool2d(op["kernel_size"], op["stride"], padding, ceil_mode=op["ceil_mode"])
        top, left, bottom, right = op["padding"]
        return Functional(
            op.kind,
            lambda x: functional.max_pool2d(
                functional.pad(x, (left, right, top, bottom), value=float("-inf")),
                op["kernel_size"],
                op["stride"],
                ceil_mode=op["ceil_mode"],
            ),
            f"functional.max_pool2d(functional.pad({{0}}, {(left, right, top, bottom)}, value=float('-inf')), "
            f"{op['kernel_size']}, {op['stride']}, ceil_mode={op['ceil_mode']})",
        )

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 9, 10))
        return (
            make_op("max_pool2d", x, kernel_size=3, stride=2, padding=1),
            make_op("max_pool2d", x, kernel_size=2, stride=2, ceil_mode=True),
            make_op("max_pool2d", x, kernel_size=3, stride=2, padding=(0, 0, 1, 1)),
        )


@register
class AvgPool2d(_WindowPool):
    kind, summary = "avg_pool2d", "mean of a sliding window"
    attributes: ClassVar = _WINDOW | {"count_include_pad": Attr("bool", "padding zeros count in the mean", True)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        if self.symmetric_padding(op) is None:
            raise ShapeError("avg_pool2d: padding must be the same on both sides; pad first otherwise")
        return super().infer(op)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node(
            "AveragePool",
            emit.inputs,
            emit.outputs,
            kernel_shape=op["kernel_size"],
            strides=op["stride"],
            pads=op["padding"],
            ceil_mode=self.onnx_ceil_mode(op),
            count_include_pad=int(op["count_include_pad"]),
        )

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        padding = op["padding"][:2]
        return nn.AvgPool2d(op["kernel_size"], op["stride"], padding, op["ceil_mode"], op["count_include_pad"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 9, 10))
        return (
            make_op("avg_pool2d", x, kernel_size=2, stride=2),
            make_op("avg_pool2d", x, kernel_size=3, stride=2, padding=1, count_include_pad=False),
        )


@register
class AdaptiveAvgPool2d(OpSpec):
    """Mean over windows chosen so that the output has a given size (torch's rule for their borders)."""

    kind, family, summary = (
        "adaptive_avg_pool2d",
        "pooling",
        "mean over windows that give a wanted output size",
    )
    attributes: ClassVar = {"output_size": Attr("ints", "(height, width) of the output", length=2, minimum=1)}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = check_image(op, 4)
        return (x.with_shape(*x.shape[:2], *op["output_size"]),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        """AveragePool where the windows are equal; a matrix product with the pooling weights where they are not."""
        height, width = op.inputs[0].shape[2:]
        rows, columns = op["output_size"]
        if height % rows == 0 and width % columns == 0:
            window = (height // rows, width // columns)
            emit.node("AveragePool", emit.inputs, emit.outputs, kernel_shape=window, strides=window)
            return
        left = emit.constant(_window_means(height, rows), op.dtype)
        right = emit.constant([list(column) for column in zip(*_window_means(width, columns), strict=True)], op.dtype)
        emit.node("MatMul", (emit.node("MatMul", (left, emit.inputs[0])), right), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.AdaptiveAvgPool2d(op["output_size"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 8, 6))
        return (
            make_op("adaptive_avg_pool2d", x, output_size=(4, 2)),
            make_op("adaptive_avg_pool2d", x, output_size=(3, 4)),
        )


def _window_means(size: int, windows: int) -> list[list[float]]:
    """A windows x size matrix whose rows average torch's adaptive windows."""
    rows = []
    for i in range(windows):
        start, end = i * size // windows, -(-(i + 1) * size // windows)
        rows.append([1 / (end - start) if start <= j < end else 0.0 for j in range(size)])
    return rows


@register
class GlobalAvgPool2d(OpSpec):
    kind, family, summary = "global_avg_pool2d", "pooling", "mean of each channel, as N x C x 1 x 1"

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = check_image(op, 4)
        return (x.with_shape(*x.shape[:2], 1, 1),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("GlobalAveragePool", emit.inputs, emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        del op
        from torch import nn

        return nn.AdaptiveAvgPool2d(1)

    def examples(self) -> tuple[Op, ...]:
        return (make_op("global_avg_pool2d", TensorType((2, 3, 5, 7))),)
