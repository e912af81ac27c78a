"""Stored tensors, look-ups and reductions."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register

if TYPE_CHECKING:
    from torch import nn


@register
class Parameter(OpSpec):
    """A learned tensor that is not part of another op: a class token, position embeddings."""

    kind, family, summary = "parameter", "stored tensor", "a learned tensor by itself"
    arity = (0, 0)
    is_source = True
    attributes: ClassVar = {
        "shape": Attr("ints", "its shape", minimum=1),
        "dtype": Attr("str", "its element type", "float32"),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        return (TensorType(op["shape"], op["dtype"]),)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return {"weight": op["shape"]}

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("Identity", (emit.weight("weight"),), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Source, dtype_of

        return Source(torch.randn(op["shape"]).mul(0.02).to(dtype_of(op["dtype"])), learned=True)

    def examples(self) -> tuple[Op, ...]:
        return (make_op("parameter", shape=(1, 1, 4)),)


@register
class ConstantTensor(OpSpec):
    """A fixed tensor. Values are kept where they decide what is computed (scalars, small vectors), not for masks."""

    kind, family, summary = "constant", "stored tensor", "a fixed tensor"
    arity = (0, 0)
    is_source = True
    attributes: ClassVar = {
        "shape": Attr("ints", "its shape; empty for a scalar", (), minimum=1),
        "dtype": Attr("str", "its element type", "float32"),
        "values": Attr("floats", "its elements in row-major order; empty means they do not matter (zeros)", ()),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        if op["values"] and len(op["values"]) != math.prod(op["shape"]):
            raise ShapeError(f"constant: {len(op['values'])} values do not fill shape {op['shape']}")
        return (TensorType(op["shape"], op["dtype"]),)

    def buffers(self, op: Op) -> dict[str, tuple[int, ...]]:
        return {} if op["values"] else {"weight": op["shape"]}

    def _array(self, op: Op) -> np.ndarray[Any, Any]:
        if op["values"]:
            return np.asarray(op["values"], np.float64).reshape(op["shape"])
        return np.zeros(op["shape"])

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        value = emit.constant(self._array(op), op["dtype"]) if op["values"] else emit.weight("weight")
        emit.node("Identity", (value,), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Source, dtype_of

        return Source(torch.as_tensor(self._array(op)).to(dtype_of(op["dtype"])), learned=False)

    def examples(self) -> tuple[Op, ...]:
        return (make_op("constant", values=(2.5,)), make_op("constant", shape=(2, 3)))


@register
class Embedding(OpSpec):
    """Rows of a learned table picked by integer index."""

    kind, family, summary = "embedding", "look-up", "rows of a learned table by index"
    attributes: ClassVar = {
        "num_embeddings": Attr("int", "rows of the table", minimum=1),
        "embedding_dim": Attr("int", "length of a row", minimum=1),
        "dtype": Attr("str", "element type of the table", "float32"),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        index = op.inputs[0]
        if index.dtype not in ("int32", "int64"):
            raise ShapeError(f"embedding takes integer indices, not {index}")
        return (TensorType((*index.shape, op["embedding_dim"]), op["dtype"]),)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        return {"weight": (op["num_embeddings"], op["embedding_dim"])}

    def bytes_moved(self, op: Op) -> int:
        """Only the rows that are picked are read, not the table."""
        return op.inputs[0].nbytes + 2 * op.outputs[0].nbytes

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("Gather", (emit.weight("weight"), emit.inputs[0]), emit.outputs, axis=0)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.Embedding(op["num_embeddings"], op["embedding_dim"])

    def examples(self) -> tuple[Op, ...]:
        return (make_op("embedding", TensorType((2, 5), "int64"), num_embeddings=11, embedding_dim=4),)


class _Reduce(OpSpec):
    family = "reduction"
    tolerance = 1e-9
    onnx_type: ClassVar[str]
    torch_name: ClassVar[str]
    attributes: ClassVar = {
        "axes": Attr("ints", "axes that are reduced; negative counts from the end"),
        "keepdims": Attr("bool", "reduced axes stay with size 1", True),
    }

    def reduced(self, op: Op) -> set[int]:
        """Reduced axes counted from the front."""
        rank = op.inputs[0].rank
        if not op["axes"] or any(not -rank <= axis < rank for axis in op["axes"]):
            raise ShapeError(f"{op.kind}: {op.inputs[0]} has no axes {op['axes']}")
        return {axis % rank for axis in op["axes"]}

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x, axes = op.inputs[0], self.reduced(op)
        if op["keepdims"]:
            return (x.with_shape(*(1 if i in axes else d for i, d in enumerate(x.shape))),)
        return (x.with_shape(*(d for i, d in enumerate(x.shape) if i not in axes)),)

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        axes, keep = tuple(sorted(self.reduced(op))), int(op["keepdims"])
        if self.onnx_type == "ReduceSum":  # the only reduction whose axes are an input in opset 17
            emit.node("ReduceSum", (emit.inputs[0], emit.constant(list(axes), "int64")), emit.outputs, keepdims=keep)
        else:
            emit.node(self.onnx_type, emit.inputs, emit.outputs, axes=axes, keepdims=keep)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        reduce = getattr(torch, self.torch_name)
        code = f"torch.{self.torch_name}({{0}}, {op['axes']}, {op['keepdims']})"
        return Functional(op.kind, lambda x: reduce(x, op["axes"], op["keepdims"]), code)

    def examples(self) -> tuple[Op, ...]:
        x = TensorType((2, 3, 4, 5))
        return (make_op(self.kind, x, axes=(2, 3)), make_op(self.kind, x, axes=(-1,), keepdims=False))


@register
class Mean(_Reduce):
    kind, onnx_type, torch_name, summary = "mean", "ReduceMean", "mean", "mean over axes"


@register
class Sum(_Reduce):
    kind, onnx_type, torch_name, summary = "sum", "ReduceSum", "sum", "sum over axes"


@register
class Max(_Reduce):
    kind, onnx_type, torch_name, summary = "max", "ReduceMax", "amax", "largest element over axes"
