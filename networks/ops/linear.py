"""Matrix products: linear layers, (batched) matmul, and scaled-dot-product attention."""

import math
from typing import TYPE_CHECKING, ClassVar

from ..errors import ShapeError
from ._base import Attr, OnnxEmitter, Op, OpSpec, TensorType, make_op, register
from .elementwise import broadcast

if TYPE_CHECKING:
    from torch import nn


@register
class Linear(OpSpec):
    """``y = x W^T + b`` over the last axis of ... x in_features."""

    kind, family, summary = "linear", "matrix product", "fully connected layer over the last axis"
    attributes: ClassVar = {
        "out_features": Attr("int", "number of outputs", minimum=1),
        "bias": Attr("bool", "adds one learned number per output", True),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        x = op.inputs[0]
        if x.rank < 1:
            raise ShapeError("linear takes at least one axis, not a scalar")
        return (x.with_shape(*x.shape[:-1], op["out_features"]),)

    def weights(self, op: Op) -> dict[str, tuple[int, ...]]:
        shape = (op["out_features"], op.inputs[0].shape[-1])
        return {"weight": shape} | ({"bias": (op["out_features"],)} if op["bias"] else {})

    def macs(self, op: Op) -> int:
        return op.outputs[0].numel * op.inputs[0].shape[-1]

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        x = emit.inputs[0]
        if op.inputs[0].rank == 2:  # only Gemm takes the bias along, and it takes matrices only
            emit.node("Gemm", (x, *(emit.weight(name) for name in op.weights)), emit.outputs, transB=1)
            return
        weight = emit.weight("weight", perm=(1, 0))
        if not op["bias"]:
            emit.node("MatMul", (x, weight), emit.outputs)
            return
        emit.node("Add", (emit.node("MatMul", (x, weight)), emit.weight("bias")), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch import nn

        return nn.Linear(op.inputs[0].shape[-1], op["out_features"], op["bias"])

    def examples(self) -> tuple[Op, ...]:
        return (
            make_op("linear", TensorType((3, 7)), out_features=5),
            make_op("linear", TensorType((2, 5, 8)), out_features=6, bias=False),
            make_op("linear", TensorType((2, 5, 8)), out_features=6),
        )


@register
class Matmul(OpSpec):
    """``a @ b`` of ... x M x K and ... x K x N; leading axes broadcast."""

    kind, family, summary = (
        "matmul",
        "matrix product",
        "matrix product of two activations, batched by leading axes",
    )
    arity = (2, 2)

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        a, b = op.inputs
        if a.rank < 2 or b.rank < 2 or a.shape[-1] != b.shape[-2]:
            raise ShapeError(f"matmul cannot multiply {a} by {b}")
        batch = broadcast("matmul", a.shape[:-2], b.shape[:-2])
        return (a.with_shape(*batch, a.shape[-2], b.shape[-1]),)

    def macs(self, op: Op) -> int:
        return op.outputs[0].numel * op.inputs[0].shape[-1]

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        del op
        emit.node("MatMul", emit.inputs, emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        import torch

        from ._torch import Functional

        return Functional(op.kind, torch.matmul, "torch.matmul({inputs})")

    def examples(self) -> tuple[Op, ...]:
        return (
            make_op("matmul", TensorType((5, 7)), TensorType((7, 3))),
            make_op("matmul", TensorType((2, 3, 5, 7)), TensorType((3, 7, 4))),
        )


@register
class Sdpa(OpSpec):
    """Scaled-dot-product attention: ``softmax(q k^T scale + mask) v``.

    q: ... x T x D, k: ... x S x D, v: ... x S x E, optional mask broadcast to ... x T x S (added). MACs are
    T S (D + E) per batch and head, whatever implementation runs it.
    """

    kind, family, summary = "sdpa", "matrix product", "scaled-dot-product attention"
    arity = (3, 4)
    attributes: ClassVar = {
        "causal": Attr("bool", "a token sees only itself and those before it", False),
        "scale": Attr("float", "factor on q k^T; 0 means 1/sqrt(D)", 0.0),
    }

    def infer(self, op: Op) -> tuple[TensorType, ...]:
        q, k, v, *mask = op.inputs
        if min(q.rank, k.rank, v.rank) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
            raise ShapeError(f"sdpa cannot attend from {q} to {k} with values {v}")
        batch = broadcast("sdpa", q.shape[:-2], k.shape[:-2], v.shape[:-2])
        if mask:
            if op["causal"]:
                raise ShapeError("sdpa takes a mask or causal=True, not both")
            broadcast("sdpa mask", (*batch, q.shape[-2], k.shape[-2]), mask[0].shape)
        return (q.with_shape(*batch, q.shape[-2], v.shape[-1]),)

    def macs(self, op: Op) -> int:
        q, k, v = op.inputs[:3]
        heads = math.prod(op.outputs[0].shape[:-2])
        return heads * q.shape[-2] * k.shape[-2] * (q.shape[-1] + v.shape[-1])

    def scale(self, op: Op) -> float:
        """The factor that is really applied."""
        return float(op["scale"]) or op.inputs[0].shape[-1] ** -0.5

    def onnx(self, op: Op, emit: OnnxEmitter) -> None:
        q, k, v, *mask = emit.inputs
        rank = op.inputs[1].rank
        swap = (*range(rank - 2), rank - 1, rank - 2)
        dtype = op.inputs[0].dtype
        scaled = emit.node("Mul", (q, emit.constant(self.scale(op), dtype)))
        scores = emit.node("MatMul", (scaled, emit.node("Transpose", (k,), perm=swap)))
        if mask:
            scores = emit.node("Add", (scores, mask[0]))
        if op["causal"]:
            rows, columns = op.inputs[0].shape[-2], op.inputs[1].shape[-2]
            hidden = [[0.0 if c <= r else -1e9 for c in range(columns)] for r in range(rows)]
            scores = emit.node("Add", (scores, emit.constant(hidden, dtype)))
        emit.node("MatMul", (emit.node("Softmax", (scores,), axis=-1), v), emit.outputs)

    def module(self, op: Op) -> "nn.Module":
        from torch.nn import functional

        from ._torch import Functional

        def attend(q, k, v, mask=None):  # type: ignore[no-untyped-def]
            return functional.scaled_dot_product_attention(q, k, v, mask, is_causal=op["causal"], scale=self.scale(op))

        options = f"is_causal={op['causal']}, scale={self.scale(op)}"
        return Functional(op.kind, attend, f"functional.scaled_dot_product_attention({{inputs}}, {options})")

    def examples(self) -> tuple[Op, ...]:
        q, k, v = TensorType((2, 3, 5, 8)), TensorType((2, 3, 7, 8)), TensorType((2, 3, 7, 4))
        square = TensorType((1, 2, 6, 4))
        return (
            make_op("sdpa", q, k, v),
            make_op("sdpa", square, square, square, causal=True),
            make_op("sdpa", q, k, v, TensorType((5, 7)), scale=0.5),
        )
