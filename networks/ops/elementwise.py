"""Element-wise arithmetic on two tensors with numpy's broadcasting."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ._base import OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn


def broadcast(what: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape under numpy's rules.

    Raises:
        ShapeError: two sizes differ and neither is 1.
    """
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        wanted = {size for size in sizes if size != 1}
        if len(wanted) > 1:
            raise ShapeError(f"{what} cannot broadcast {' and '.join(map(str, shapes))}")
        result.append(wanted.pop() if wanted else 1)
    return tuple(result)


class _Binary(OpSpec):
    family = "element-wise"
    arity = (2, 2)
    in_place = True
    onnx_type: ClassVar[str]

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        a, b = op.inputs
        if a.dtype != b.dtype:
            raise ShapeError(f"{op.kind} takes two tensors of one element type, not {a} and {b}")
        return (a.with_shape(*broadcast(op.kind, a.shape, b.shape)),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node(self.onnx_type, emit.inputs, emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        return Functional(op.kind, getattr(torch, self.kind), f"torch.{self.kind}({{inputs}})")

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 5, 7))
        return (make_op(self.kind, x, x), make_op(self.kind, x, TensorType((2, 3, 1, 1))))


@register
class Add(_Binary):
    kind, onnx_type, summary = "add", "Add", "sum of two tensors"


@register
class Sub(_Binary):
    kind, onnx_type, summary = "sub", "Sub", "difference of two tensors"


@register
class Mul(_Binary):
    kind, onnx_type, summary = "mul", "Mul", "product of two tensors"


@register
class Div(_Binary):
    kind, onnx_type, summary = "div", "Div", "quotient of two tensors"
    tolerance = 1e-8


@register
class Pow(_Binary):
    kind, onnx_type, summary = "pow", "Pow", "one tensor to the power of the other"
    tolerance = 1e-8

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 5))
        return (make_op("pow", x, TensorType(())),)

    def example_input(self, op: Op, index: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Positive bases, so that every power is real."""
        return np.asarray(abs(super().example_input(op, index, rng)) + 0.5, np.float32)
