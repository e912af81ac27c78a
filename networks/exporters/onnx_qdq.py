"""`to_onnx_int8`: a network as an ONNX model in int8, with pairs of QuantizeLinear and DequantizeLinear (QDQ).

Pairs stand where onnxruntime's own static quantiser places them: around every tensor that an op with an 8-bit kernel
reads or makes; ReLUs behind such an op go, because the range of what they make says the same. Weights are symmetric
int8 with a scale for each channel, biases int32, activations uint8. What the quantiser does to a graph beforehand
(batch norms folded, layers over sequences as one Gemm, hard-swish in its two halves) is done to the network.
"""

import math
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Network
from ..ops import OnnxEmitter, Op
from ._fold import fold_batch_norms
from .onnx import write_model

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

_WEIGHTED = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": 1}
"""Ops with weights in int8, and the weights' axis of channels (Gemm: as written here, transposed)."""

_NORMS = frozenset({"BatchNormalization", "InstanceNormalization", "LayerNormalization"})
"""Ops that read and make 8-bit tensors, but compute in float32; their scales and shifts stay float32."""

_BOTH_SIDES = frozenset({*_WEIGHTED, *_NORMS, "Add", "Mul", "Concat", "GlobalAveragePool", "LeakyRelu", "Sigmoid"})
_BOTH_SIDES |= {"Softmax"}
"""Ops that are given 8-bit inputs and make 8-bit outputs."""

_FOLLOWING = frozenset({"AveragePool", "Flatten", "Gather", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "Split"})
_FOLLOWING |= {"Squeeze", "Transpose", "Unsqueeze"}
"""Ops that work in 8 bits where their input is: what they make has the input's scale."""

_REMOVABLE = frozenset({"Relu", "Clip"})

_WIDEST_INT8 = 127
_LEVELS = 255
_UNIT_RANGE = frozenset({"Sigmoid", "Softmax"})


def to_onnx_int8(network: Network, *, seed: int = 0) -> "onnx.ModelProto":
    """``network`` in int8 as an ONNX model (opset 17), with random weights and plausible scales.

    It is made to be timed: latency depends on shapes and on where the 8-bit ops are, not on weights or scales. A
    network with trained weights is quantised by its runtime's own tools; the file that they write is read as it is.

    Args:
        network: what to write; its batch norms are folded into the layers before them.
        seed: of the random weights.

    Raises:
        ModelTooLargeError: over 2 GiB of weights before they are quantised.
        UnsupportedDtypeError: an element type that opset 17 lacks.
    """
    folded = fold_batch_norms(network)
    model = write_model(folded, {}, seed, {"hard_swish": _hard_swish, "linear": _linear})
    _Quantiser(model.graph, folded).run()
    return model


def _hard_swish(op: Op, emit: OnnxEmitter) -> None:
    del op
    gate = emit.node("HardSigmoid", emit.inputs, alpha=1 / 6, beta=0.5)
    emit.node("Mul", (emit.inputs[0], gate), emit.outputs)


def _linear(op: Op, emit: OnnxEmitter) -> None:
    x, out = op.inputs[0], op.outputs[0]
    if x.rank == 2 or not op["bias"]:
        op.spec.onnx(op, emit)
        return
    flat = emit.node("Reshape", (emit.inputs[0], emit.constant([-1, x.shape[-1]], "int64")))
    product = emit.node("Gemm", (flat, *(emit.weight(name) for name in op.weights)), transB=1)
    emit.node("Reshape", (product, emit.constant(list(out.shape), "int64")), emit.outputs)


class _Quantiser:
    """Rewrites a graph in place."""

    def __init__(self, graph: "onnx.GraphProto", network: Network) -> None:
        self._graph = graph
        self._float = {name for name, type_ in network.types.items() if type_.dtype == "float32"}
        self._typed = set(network.types)
        self._outputs = {value.name for value in graph.output}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._readers: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                self._readers[name] = self._readers.get(name, 0) + 1
        self._makers = {name: node.op_type for node in graph.node for name in node.output}
        self._scale_of: dict[str, str] = {}  # of a quantised tensor, the one whose scale it has
        self._renamed: dict[str, str] = {}
        self._removed: set[int] = set()
        self._written: list[onnx.NodeProto] = []
        self._dequantized: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        for index, node in enumerate(self._graph.node):
            self._mark(index, node)
        nodes = [node for i, node in enumerate(self._graph.node) if i not in self._removed]
        for value in self._graph.input:
            if value.name in self._scale_of:
                self._renamed[value.name] = self._pair(value.name, value.name, f"{value.name}/dequantized")
        for node in nodes:
            self._write(node)
        del self._graph.node[:]
        self._graph.node.extend(self._written)
        self._drop_unread()

    def _mark(self, index: int, node: "onnx.NodeProto") -> None:
        """Note which tensors of a node are quantised. Nodes come in order: what they read has been marked."""
        first = self._renamed.get(node.input[0], node.input[0])
        if node.op_type in _BOTH_SIDES:
            for name in (*node.input, *node.output):
                if name not in self._stored and (name in self._float or name not in self._typed):
                    self._scale_of.setdefault(name, name)
        elif first in self._scale_of and node.op_type in _FOLLOWING:
            for name in node.output:
                self._scale_of[name] = self._scale_of[first]
        elif first in self._scale_of and node.op_type in _REMOVABLE:
            made = node.output[0]
            self._scale_of[made] = made
            if self._readers.get(first) == 1 and first in self._makers and first not in self._outputs:
                del self._scale_of[first]
                self._renamed[first] = made
                self._removed.add(index)

    def _write(self, node: "onnx.NodeProto") -> None:
        given = [self._renamed.get(name, name) for name in node.input]
        if node.op_type in _BOTH_SIDES - _NORMS:
            given = list(self._operands(node, given))
        made = [self._renamed.get(name, name) for name in node.output]
        raw = [f"{name}/float" if name in self._scale_of else name for name in made]
        del node.input[:], node.output[:]
        node.input.extend(given)
        node.output.extend(raw)
        self._written.append(node)
        for source, name in zip(raw, made, strict=True):
            if name in self._scale_of:
                self._pair(source, name, name)

    def _operands(self, node: "onnx.NodeProto", given: list[str]) -> Iterator[str]:
        """The node's inputs, stored tensors quantised."""
        for position, name in enumerate(given):
            if name not in self._stored:
                yield name
            elif node.op_type not in _WEIGHTED:
                yield self._activation_constant(name)
            elif position == 1:
                yield self._weight(name, _WEIGHTED[node.op_type])
            else:
                yield self._bias(name, node.input[1], node.input[0])

    def _pair(self, source: str, tensor: str, result: str) -> str:
        """Quantise ``source`` with the scale of ``tensor`` and make ``result`` of it again."""
        scale, zero = self._activation_scale(self._scale_of[tensor])
        self._node("QuantizeLinear", [source, scale, zero], f"{tensor}/quantized")
        return self._node("DequantizeLinear", [f"{tensor}/quantized", scale, zero], result)

    def _activation_scale(self, name: str) -> tuple[str, str]:
        """Scale and zero point of an activation: no two tensors have the same scale, as in a calibrated model."""
        scale, zero = f"{name}/scale", f"{name}/zero_point"
        if scale not in self._stored:
            made_by = self._makers.get(name, "")
            spread = zlib.crc32(name.encode()) / (1 << 32)
            width = 1.0 if made_by in _UNIT_RANGE else 4 + 4 * spread
            positive = made_by in _UNIT_RANGE | _REMOVABLE
            self._store(scale, np.float32(width / _LEVELS))
            self._store(zero, np.uint8(0 if positive else 128))
        return scale, zero

    def _weight(self, name: str, axis: int) -> str:
        """A weight in int8, dequantised by channel."""
        if (name, "weight") not in self._dequantized:
            values = _values(self._stored[name])
            others = tuple(i for i in range(values.ndim) if i != axis)
            scale = np.maximum(np.abs(values).max(others, keepdims=True), np.float32(1e-8)) / _WIDEST_INT8
            self._store(f"{name}/int8", np.rint(values / scale).astype(np.int8))
            self._store(f"{name}/scale", scale.reshape(-1).astype(np.float32))
            self._store(f"{name}/zero_point", np.zeros(scale.size, np.int8))
            parts = [f"{name}/{part}" for part in ("int8", "scale", "zero_point")]
            self._dequantized[name, "weight"] = self._node("DequantizeLinear", parts, f"{name}/dequantized", axis=axis)
        return self._dequantized[name, "weight"]

    def _bias(self, name: str, weight: str, activation: str) -> str:
        """A bias in int32, in units of the products it is added to."""
        source = f"{self._scale_of[activation]}/scale"
        if (name, source) not in self._dequantized:
            stem = f"{name}/{len(self._dequantized)}"
            scale = _values(self._stored[source]) * _values(self._stored[f"{weight}/scale"])
            self._store(f"{stem}/int32", np.rint(_values(self._stored[name]) / scale).astype(np.int32))
            self._store(f"{stem}/scale", scale.astype(np.float32))
            parts = [f"{stem}/int32", f"{stem}/scale"]
            self._dequantized[name, source] = self._node("DequantizeLinear", parts, f"{stem}/dequantized", axis=0)
        return self._dequantized[name, source]

    def _activation_constant(self, name: str) -> str:
        """A stored tensor that is added or multiplied, in uint8."""
        if (name, "constant") not in self._dequantized:
            values = _values(self._stored[name])
            low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
            scale = np.float32(max(high - low, 1e-8) / _LEVELS)
            zero = np.uint8(round(-low / float(scale)))
            self._store(f"{name}/uint8", np.clip(np.rint(values / scale) + zero, 0, _LEVELS).astype(np.uint8))
            self._store(f"{name}/scale", scale)
            self._store(f"{name}/zero_point", zero)
            parts = [f"{name}/{part}" for part in ("uint8", "scale", "zero_point")]
            self._dequantized[name, "constant"] = self._node("DequantizeLinear", parts, f"{name}/dequantized")
        return self._dequantized[name, "constant"]

    def _node(self, op_type: str, inputs: list[str], output: str, **attrs: Any) -> str:
        from onnx import helper

        self._written.append(helper.make_node(op_type, inputs, [output], name=f"{output}/{op_type}", **attrs))
        return output

    def _store(self, name: str, values: Any) -> None:
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        self._stored[name] = self._graph.initializer[-1]

    def _drop_unread(self) -> None:
        """Forget the float32 form of what is stored in 8 bits now."""
        read = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _values(tensor: "onnx.TensorProto") -> Array:
    from onnx import numpy_helper

    values: Array = numpy_helper.to_array(tensor)
    assert math.prod(tensor.dims) == values.size
    return values
