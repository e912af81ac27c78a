"""Multiply-accumulates of the nodes of ONNX Runtime's lowered graphs."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..ops import TensorType
from .kernel import KernelNode
from .quantised import WEIGHT_INPUT

if TYPE_CHECKING:
    import onnx

NCHWC = "com.microsoft.nchwc"
"""Domain of the nodes that work on channels in blocks (N x C/b x H x W x b, stored under an N x C x H x W shape)."""

Types = Mapping[str, TensorType]


def node_macs(node: KernelNode, types: Types) -> int:
    """Multiply-accumulates of one node, of the tensors as they are stored (channels padded to whole blocks)."""
    count = _COUNTERS.get(node.op)
    return count(node, types) if count is not None else 0


def _conv(node: KernelNode, types: Types) -> int:
    weight = types[node.inputs[WEIGHT_INPUT.get(node.op, 1)]]
    return types[node.outputs[0]].numel * math.prod(weight.shape[1:])


def _conv_transpose(node: KernelNode, types: Types) -> int:
    return types[node.inputs[0]].numel * math.prod(types[node.inputs[1]].shape[1:])


def _matmul(node: KernelNode, types: Types) -> int:
    attrs = dict(node.attrs)
    transposed = attrs.get("transA", 0)
    shape = types[node.inputs[0]].shape
    depth = shape[-2] if transposed and len(shape) > 1 else shape[-1]
    return types[node.outputs[0]].numel * depth


def _attention(node: KernelNode, types: Types) -> int:
    """Projections of the input (batch x tokens x width) by a width x 3 hidden matrix, then q k^T and (q k^T) v."""
    batch, tokens, width = types[node.inputs[0]].shape
    projected = types[node.inputs[1]].shape[-1]
    hidden = types[node.outputs[0]].shape[-1]
    return batch * tokens * (width * projected + 2 * tokens * hidden)


def _multi_head_attention(node: KernelNode, types: Types) -> int:
    """q: batch x tokens x hidden; k: batch x keys x hidden; v the same with its own width."""
    batch, tokens, hidden = types[node.inputs[0]].shape
    keys = types[node.inputs[1]].shape[1]
    return batch * tokens * keys * (hidden + types[node.outputs[0]].shape[-1])


_COUNTERS: dict[str, Callable[[KernelNode, Types], int]] = {
    "Conv": _conv,
    "FusedConv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _matmul,
    "FusedGemm": _matmul,
    "MatMul": _matmul,
    "FusedMatMul": _matmul,
    "QLinearConv": _conv,
    "ConvInteger": _conv,
    "QGemm": _matmul,
    **dict.fromkeys(("QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), _matmul),
    "Attention": _attention,
    "MultiHeadAttention": _multi_head_attention,
}


class SourceConvs:
    """The convolutions of the model before it was lowered, to undo the padding of channels.

    The blocked convolutions carry weights that are padded to whole blocks, and batch norms that became convolutions;
    the numbers that count are those of the model as it was written. Each is found by its name: the runtime calls a
    blocked node after the tensor it makes ("<tensor>_nchwc").
    """

    def __init__(self, model: "onnx.ModelProto") -> None:
        self._dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        self._nodes = {output: node for node in model.graph.node for output in node.output if output}
        self._by_name = {node.name: tuple(node.output) for node in model.graph.node if node.name}
        self._claimed: set[str] = set()
        self._made: set[str] = set()

    def announce(self, node: KernelNode, name: str) -> None:
        """Note that ``node``, called ``name``, makes its tensors: no other node's search goes past them."""
        self._made.update(node.outputs)
        self._made.update(self._by_name.get(name, ()))
        self._made.add(self._tensor(name))

    def macs(self, node: KernelNode, name: str, types: Types) -> int:
        """Multiply-accumulates of a blocked convolution; nodes must come in execution order, all announced."""
        if name.split("_token_")[0].endswith("_bn_nchwc"):
            return 0
        padded = _conv(node, types)
        target = self._tensor(name)
        if target not in self._nodes:
            return padded
        batch, _, *spatial = types[node.outputs[0]].shape
        weights = self._claim(target)
        if not weights:
            return padded
        return sum(batch * math.prod(spatial) * math.prod(dims) for dims in weights)

    def _tensor(self, name: str) -> str:
        match = re.fullmatch(r"(.+)_nchwc(_token_\d+)?", name)
        return match.group(1) if match else ""

    def _claim(self, target: str) -> list[tuple[int, ...]]:
        """Weights' shapes of the convolutions that end in ``target``, fused with what follows them."""
        found: list[tuple[int, ...]] = []
        pending, seen = [target], {target}
        while pending:
            node = self._nodes.get(pending.pop())
            if node is None or node.output[0] in self._claimed:
                continue
            self._claimed.add(node.output[0])
            if node.op_type == "Conv":
                if node.input[1] in self._dims:
                    found.append(self._dims[node.input[1]])
                continue
            reached = [name for name in node.input if name not in self._made and name not in seen]
            pending.extend(reached)
            seen.update(reached)
        return found
