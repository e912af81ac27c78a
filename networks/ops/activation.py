"""Activations and other functions of one tensor, element by element, and softmax."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn


class _Unary(OpSpec):
    """One number in, one number out; ``onnx_type`` where ONNX has the same op."""

    family = "activation"
    in_place = True
    onnx_type: ClassVar[str] = ""
    torch_name: ClassVar[str] = ""

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node(self.onnx_type, emit.inputs, emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        del op
        from torch import nn

        module: nn.Module = getattr(nn, self.torch_name)()
        return module

    def examples(self) -> tuple[Op, ...]:
        return (make_op(self.kind, TensorType((2, 5, 7, 3))),)


@register
class Relu(_Unary):
    kind, onnx_type, torch_name, summary = "relu", "Relu", "ReLU", "max(x, 0)"


@register
class Relu6(_Unary):
    kind, torch_name, summary = "relu6", "ReLU6", "min(max(x, 0), 6)"

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        bounds = (emit.constant(0.0, op.dtype), emit.constant(6.0, op.dtype))
        emit.node("Clip", (emit.inputs[0], *bounds), emit.outputs)


@register
class LeakyRelu(_Unary):
    kind, summary = "leaky_relu", "x where positive, slope * x where negative"
    attributes: ClassVar = {"slope": Attr("float", "factor on negative inputs", 0.01)}

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node("LeakyRelu", emit.inputs, emit.outputs, alpha=op["slope"])

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.LeakyReLU(op["slope"])


@register
class HardSigmoid(_Unary):
    kind, torch_name, summary = "hard_sigmoid", "Hardsigmoid", "min(max(x / 6 + 1/2, 0), 1)"

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("HardSigmoid", emit.inputs, emit.outputs, alpha=1 / 6, beta=0.5)


@register
class HardSwish(_Unary):
    kind, onnx_type, torch_name, summary = "hard_swish", "HardSwish", "Hardswish", "x * hard_sigmoid(x)"


@register
class Sigmoid(_Unary):
    kind, onnx_type, torch_name, summary = "sigmoid", "Sigmoid", "Sigmoid", "1 / (1 + exp(-x))"
    tolerance = 1e-8


@register
class Silu(_Unary):
    kind, torch_name, summary = "silu", "SiLU", "x * sigmoid(x)"
    tolerance = 1e-8

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("Mul", (emit.inputs[0], emit.node("Sigmoid", emit.inputs)), emit.outputs)


@register
class Gelu(_Unary):
    kind, summary = "gelu", "x times the normal distribution function of x"
    tolerance = 1e-7
    attributes: ClassVar = {
        "approximate": Attr("str", "exact (by erf) or by tanh", "none", choices=("none", "tanh")),
    }

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        x, dtype = emit.inputs[0], op.dtype
        if op["approximate"] == "none":  # x/2 * (1 + erf(x / sqrt 2)), in the order every exporter writes it
            inner = emit.node("Erf", (emit.node("Div", (x, emit.constant(2**0.5, dtype))),))
        else:
            cubed = emit.node("Mul", (x, emit.node("Mul", (x, x))))
            poly = emit.node("Add", (x, emit.node("Mul", (cubed, emit.constant(0.044715, dtype)))))
            inner = emit.node("Tanh", (emit.node("Mul", (poly, emit.constant((2 / np.pi) ** 0.5, dtype))),))
        gate = emit.node("Add", (inner, emit.constant(1.0, dtype)))
        emit.node("Mul", (emit.node("Mul", (x, gate)), emit.constant(0.5, dtype)), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.GELU(op["approximate"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 5, 7))
        return (make_op("gelu", x), make_op("gelu", x, approximate="tanh"))


@register
class Tanh(_Unary):
    kind, onnx_type, torch_name, summary = "tanh", "Tanh", "Tanh", "hyperbolic tangent"
    tolerance = 1e-8


class _Math(_Unary):
    """A plain function that torch names as we do."""

    family = "element-wise"

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        return Functional(op.kind, getattr(torch, self.kind), f"torch.{self.kind}({{0}})")


@register
class Exp(_Math):
    kind, onnx_type, summary = "exp", "Exp", "e to the power of x"
    tolerance = 1e-8


@register
class Sqrt(_Math):
    kind, onnx_type, summary = "sqrt", "Sqrt", "square root"
    tolerance = 1e-8

    def example_input(self, op: Op, index: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        return abs(super().example_input(op, index, rng))


@register
class Erf(_Math):
    kind, onnx_type, summary = "erf", "Erf", "error function"
    tolerance = 1e-7


@register
class Neg(_Math):
    kind, onnx_type, summary = "neg", "Neg", "-x"


@register
class Abs(_Math):
    kind, onnx_type, summary = "abs", "Abs", "absolute value"


@register
class Clip(_Unary):
    kind, family, summary = "clip", "element-wise", "min(max(x, low), high)"
    attributes: ClassVar = {
        "low": Attr("float", "lower bound", float("-inf")),
        "high": Attr("float", "upper bound", float("inf")),
    }

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        bounds = (emit.constant(op["low"], op.dtype), emit.constant(op["high"], op.dtype))
        emit.node("Clip", (emit.inputs[0], *bounds), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        low, high = op["low"], op["high"]
        code = f"torch.clamp({{0}}, float('{low}'), float('{high}'))"
        return Functional(op.kind, lambda x: torch.clamp(x, low, high), code)

    def examples(self) -> tuple[Op, ...]:
        return (make_op("clip", TensorType((2, 5, 7)), low=-0.5, high=0.25),)


@register
class Cast(OpSpec):
    """Another element type, same shape."""

    kind, family, summary = "cast", "element-wise", "conversion to another element type"
    attributes: ClassVar = {"to": Attr("str", "element type of the output")}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        return (TensorType(op.inputs[0].shape, op["to"]),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        from onnx import TensorProto

        onnx_name = {"float32": "FLOAT"}.get(op["to"], op["to"].upper())
        emit.node("Cast", emit.inputs, emit.outputs, to=TensorProto.DataType.Value(onnx_name))

    def module(self, op: Op) -> "nn.Module":
        from ._torch import Functional, dtype_of

        return Functional(op.kind, lambda x: x.to(dtype_of(op["to"])), f"{{0}}.to(torch.{op['to']})")

    def examples(self) -> tuple[Op, ...]:
        return (make_op("cast", TensorType((3, 4)), to="int64"),)


@register
class Softmax(OpSpec):
    """``exp(x) / sum(exp(x))`` along one axis."""

    kind, family, summary = "softmax", "activation", "normalised exponential along one axis"
    attributes: ClassVar = {"axis": Attr("int", "the axis that sums to one; negative counts from the end", -1)}
    tolerance = 1e-8
    in_place = True

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if not -x.rank <= op["axis"] < x.rank:
            raise ShapeError(f"softmax: {x} has no axis {op['axis']}")
        return (x,)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        emit.node("Softmax", emit.inputs, emit.outputs, axis=op["axis"])

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.Softmax(op["axis"])

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 5, 7))
        return (make_op("softmax", x), make_op("softmax", x, axis=1))
