"""`to_onnx`: a network as an ONNX model, with given or random weights."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelTooLargeError, ShapeError, UnsupportedDtypeError
from ..graph import Network, Node
from ..ops import OnnxEmitter, Op, TensorType
from .weights import WeightSource

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 9
MAX_BYTES = (1 << 31) - (1 << 20)
"""Protobuf messages end at 2 GiB; the rest is left for the graph itself."""
CONSTANT = "constant"
"""Marks, in their ``doc_string``, the initializers that were not trained, so that importing counts them right."""

Array = np.ndarray[Any, Any]


def to_onnx(network: Network, *, weights: Mapping[str, Array] | None = None, seed: int = 0) -> "onnx.ModelProto":
    """``network`` as an ONNX model (opset 17, IR version 9, weights inside).

    Args:
        network: what to write. Its value and node names become the model's.
        weights: tensors by ``"{node}.{weight}"`` in torch's layout, as in the ``state_dict`` of `to_torch`. Entries
            that a node has no use for in inference are ignored.
        seed: of the random numbers for tensors that ``weights`` lacks. Activations stay finite with them.

    Returns:
        A model whose inputs and outputs are named as the network's. Linear layers over more than two axes keep
        their weight transposed, as ONNX's MatMul reads it.

    Raises:
        ModelTooLargeError: over 2 GiB of weights, which one ONNX file cannot hold.
        ShapeError: a given weight belongs to no node or has another shape than its node wants.
        UnsupportedDtypeError: an element type that opset 17 lacks.
    """
    given = dict(weights or {})
    _check_owners(network, given)
    return write_model(network, given, seed)


def write_model(
    network: Network,
    given: Mapping[str, Array],
    seed: int,
    forms: "Mapping[str, Callable[[Op, OnnxEmitter], None]] | None" = None,
) -> "onnx.ModelProto":
    """`to_onnx`, where ``forms`` writes some kinds of ops otherwise than the catalogue does."""
    from onnx import helper

    _check_size(network)
    empty = helper.make_graph([], network.name, [_value_info(name, type_) for name, type_ in network.inputs], [])
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(empty, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lutra")
    writer = _Writer(model.graph, given, WeightSource(seed))
    for node in network.nodes:
        write = (forms or {}).get(node.op.kind, node.op.spec.onnx)
        write(node.op, _Emitter(writer, node))
    writer.declare_outputs(network)
    return model


def _check_size(network: Network) -> None:
    size = 0
    for node in network.nodes:
        if not node.weights_from:
            shapes = (*node.op.weights.values(), *node.op.buffers.values())
            size += sum(TensorType(shape, node.op.dtype).nbytes for shape in shapes)
    if size > MAX_BYTES:
        raise ModelTooLargeError(
            f"the weights of {network.name!r} take {size / 2**30:.2f} GiB; one ONNX file holds 2 GiB",
            hint="choose a smaller network, or a smaller element type",
        )


def _check_owners(network: Network, given: Mapping[str, Array]) -> None:
    names = {node.name for node in network.nodes}
    strangers = sorted(key for key in given if key.rpartition(".")[0] not in names)
    if strangers:
        raise ShapeError(
            f"network {network.name!r} has no node for the weights {', '.join(strangers[:5])}",
            hint="name weights '{node}.{weight}', as in to_torch(network).state_dict()",
        )


def _element_type(dtype: str) -> int:
    from onnx import TensorProto

    if dtype == "int4":
        raise UnsupportedDtypeError(f"ONNX opset {OPSET} has no {dtype}", hint="use int8")
    name = {"float32": "FLOAT"}.get(dtype, dtype.upper())
    return int(TensorProto.DataType.Value(name))


def _value_info(name: str, type_: TensorType) -> "onnx.ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, _element_type(type_.dtype), type_.shape)


class _Writer:
    """Fills a graph in place; each stored tensor is written once, however many nodes read it."""

    def __init__(self, graph: "onnx.GraphProto", given: Mapping[str, Array], source: WeightSource) -> None:
        self.graph = graph
        self._given = given
        self._source = source
        self._stored: dict[tuple[str, tuple[int, ...] | None], str] = {}
        self._names: set[str] = set()

    def tensor(self, name: str, values: Array, dtype: str, *, learned: bool = False) -> str:
        from onnx import helper

        element_type = _element_type(dtype)
        # Made inside the graph: a tensor that is moved into it is copied, and again for each message around it.
        tensor = self.graph.initializer.add(name=name, data_type=element_type, dims=values.shape)
        if not learned:
            tensor.doc_string = CONSTANT
        tensor.raw_data = values.astype(helper.tensor_dtype_to_np_dtype(element_type), copy=False).tobytes()
        return name

    def weight(self, node: Node, name: str, perm: tuple[int, ...] | None) -> str:
        key = f"{node.weights_from or node.name}.{name}"
        stored = self._stored.get((key, perm))
        if stored is None:
            values = self._values(node, name, key)
            # The second form of a shared tensor needs a name of its own.
            stored = self.unique(key)
            values = values if perm is None else values.transpose(perm)
            self.tensor(stored, values, node.op.dtype, learned=name in node.op.weights)
            self._stored[key, perm] = stored
        return stored

    def _values(self, node: Node, name: str, key: str) -> Array:
        if key not in self._given:
            return self._source.draw(node.op, name, key)
        values = np.asarray(self._given[key])
        wanted = node.op.weights.get(name) or node.op.buffers[name]
        if values.shape != tuple(wanted):
            raise ShapeError(f"weight {key!r} has shape {values.shape}; its node wants {tuple(wanted)}")
        return values

    def unique(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            name, count = f"{wanted}_{count}", count + 1
        self._names.add(name)
        return name

    def declare_outputs(self, network: Network) -> None:
        """Declares the outputs; one that repeats or is an input goes through an Identity, which ONNX wants."""
        from onnx import helper

        taken = {name for name, _ in network.inputs}
        for value in network.outputs:
            name = value
            if value in taken:
                name = self.unique(f"{value}/output")
                self.graph.node.append(helper.make_node("Identity", [value], [name], name=name))
            taken.add(name)
            self.graph.output.append(_value_info(name, network.types[value]))


class _Emitter:
    """One node's view of the writer: what `OpSpec.onnx` sees."""

    def __init__(self, writer: _Writer, node: Node) -> None:
        self.inputs = node.inputs
        self.outputs = node.outputs
        self._writer, self._node = writer, node

    def node(self, op_type: str, inputs: tuple[str, ...], outputs: tuple[str, ...] | None = None, **attrs: Any) -> str:
        from onnx import helper

        name = self._node.name if outputs else self._writer.unique(f"{self._node.name}/{op_type}")
        made = outputs or (name,)
        self._writer.graph.node.append(helper.make_node(op_type, inputs, made, name=name, **attrs))
        return made[0]

    def constant(self, values: Any, dtype: str = "float32") -> str:
        name = self._writer.unique(f"{self._node.name}/constant")
        return self._writer.tensor(name, np.asarray(values), dtype)

    def weight(self, name: str, *, perm: tuple[int, ...] | None = None) -> str:
        return self._writer.weight(self._node, name, perm)
