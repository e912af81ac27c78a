"""ONNX models that hold copies of one kernel, for ONNX Runtime to run with its optimiser off.

One model holds several copies that differ in the contents of their weights: the runtime would share the packed form
of equal weights, and then they would stay in the caches. All copies read the same activations.

In a network a kernel writes to memory that was another tensor's a moment ago: a few buffers take turns. So the outputs
of a copy are held until those of the third behind it are there, by a ``Reshape`` that takes them and the ``Shape`` of
those; then the memory planner frees them. Neither node computes or copies anything. Only the
last ``Shape`` is an output of the model.
"""

import math
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...networks import TensorType
from ...networks.errors import ModelTooLargeError
from ...networks.lowering import Constant, Kernel, KernelNode
from ...networks.lowering.onnx_graph import elem_type
from ...networks.lowering.quantised import BIAS, DATA, SCALE, constant_roles
from .contents import Contents
from .onnx_wire import Chunk, NodeTemplate, TensorTemplate, joined

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

CHAIN_LENGTH = 101
"""Nodes in the long chains from which the cost of one node is taken, as a slope."""

MAX_BYTES = (1 << 31) - (1 << 20)
"""Protobuf messages end at 2 GiB."""

_HELD = 3
"""Copies whose outputs are held while the next are computed: outputs take turns with so many places and one more."""

_OPSET = 17
_POSITIVE = {"Sqrt": 0, "Log": 0, "Pow": 0, "Div": 1, "Reciprocal": 0}
"""Inputs that must be well above zero for the output to be finite."""


def kernel_model(
    kernel: Kernel, copies: int, contents: Contents, *, exposed: bool = False
) -> tuple[bytes, dict[str, Array]]:
    """``copies`` copies of ``kernel`` with random, distinct weights, as an ONNX model, and inputs to feed it.

    Weights are scaled so that activations stay about as large as they are; values that decide the computation
    (shapes, bounds) are the kernel's own. Outputs are held for a while and then freed, as in a network (see the
    module); with ``exposed`` the last copy's are the model's outputs instead, to look at what was computed.

    Raises:
        ModelTooLargeError: the weights do not fit into one model.
    """
    from onnx import helper

    if kernel.weight_bytes * copies > MAX_BYTES:
        raise ModelTooLargeError(
            f"{copies} copies of {kernel.label!r} take {kernel.weight_bytes * copies / 2**30:.1f} GiB",
            hint="measure fewer copies",
        )
    weights = _Weights(kernel, contents)
    shared = {name for name, _ in (*kernel.inputs, *kernel.constants)}.difference(weights.names)
    parts = _copied(kernel, copies, weights, shared, held=not exposed)
    inputs = [helper.make_tensor_value_info(name, elem_type(t.dtype), t.shape) for name, t in kernel.inputs]
    ends = kernel.outputs if exposed else ((f"{kernel.outputs[-1][0]}__shape", None),)
    outputs = [
        helper.make_tensor_value_info(
            _of_copy(name, copies - 1), elem_type(t.dtype if t else "int64"), t.shape if t else None
        )
        for name, t in ends
    ]
    tensors = [_tensor(name, _stored(constant)) for name, constant in kernel.constants if name in shared]
    graph = helper.make_graph([], "kernel", inputs, outputs, tensors)
    domains = {node.domain for node in kernel.nodes} - {""}
    opsets = [helper.make_opsetid("", kernel.opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    feeds = enumerate(kernel.inputs, copies * len(weights.names))
    fed = {name: _feed(name, type_, kernel, contents, piece) for piece, (name, type_) in feeds}
    return joined(_model(graph, opsets), graph, parts), fed


def shape_nodes(kernel: Kernel, copies: int) -> int:
    """How many ``Shape`` nodes `kernel_model` adds, whose time is not the kernel's."""
    return copies * len(kernel.outputs)


def reshape_nodes(kernel: Kernel, copies: int) -> int:
    """How many ``Reshape`` nodes `kernel_model` adds."""
    return max(copies - _HELD, 0) * len(kernel.outputs)


def relu_chain(length: int) -> tuple[bytes, dict[str, Array]]:
    """``length`` Relu nodes on 16 numbers, one behind the other: what a call and a node cost by themselves."""
    from onnx import helper

    names = ["x", *(f"y{i}" for i in range(length))]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    return _chain(nodes, helper.make_tensor_value_info(names[-1], elem_type("float32"), (1, 16)))


def shape_chain(length: int) -> tuple[bytes, dict[str, Array]]:
    """``length`` Shape nodes on one tensor: what the nodes that `kernel_model` adds cost."""
    from onnx import helper

    nodes = [helper.make_node("Shape", ["x"], [f"y{i}"]) for i in range(length)]
    return _chain(nodes, helper.make_tensor_value_info(f"y{length - 1}", elem_type("int64"), (2,)))


def reshape_chain(length: int) -> tuple[bytes, dict[str, Array]]:
    """``length`` Reshape nodes on one tensor: what the other nodes that `kernel_model` adds cost."""
    from onnx import helper

    nodes = [helper.make_node("Reshape", ["x", "shape"], [f"y{i}"]) for i in range(length)]
    output = helper.make_tensor_value_info(f"y{length - 1}", elem_type("float32"), (1, 16))
    return _chain(nodes, output, [_tensor("shape", np.array([1, 16]))])


def _chain(
    nodes: "list[onnx.NodeProto]", output: "onnx.ValueInfoProto", stored: "Sequence[onnx.TensorProto]" = ()
) -> tuple[bytes, dict[str, Array]]:
    from onnx import helper

    value = helper.make_tensor_value_info("x", elem_type("float32"), (1, 16))
    graph = helper.make_graph(nodes, "chain", [value], [output], stored)
    return _serialised(graph, [helper.make_opsetid("", _OPSET)]), {"x": np.ones((1, 16), np.float32)}


def _serialised(graph: "onnx.GraphProto", opsets: "list[onnx.OperatorSetIdProto]") -> bytes:
    return joined(_model(graph, opsets), graph, ())


def _model(graph: "onnx.GraphProto", opsets: "list[onnx.OperatorSetIdProto]") -> "onnx.ModelProto":
    """What is around ``graph`` in a model, without the graph."""
    from onnx import helper

    version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
    model.ClearField("graph")
    return model


def _of_copy(name: str, copy: int) -> str:
    return f"{name}__{copy}"


def _copied(kernel: Kernel, copies: int, weights: "_Weights", shared: Set[str], *, held: bool) -> list[Chunk]:
    """The copies' weights and nodes, as fields of a graph; with those that hold outputs, if they are to be."""
    nodes = [(node, NodeTemplate(_unnamed(node))) for node in kernel.nodes]
    holds = _Holds(kernel)
    parts: list[Chunk] = []
    for copy in range(copies):
        parts += weights.of_copy(copy)
        for node, template in nodes:
            inputs = [name if not name or name in shared else _of_copy(name, copy) for name in node.inputs]
            outputs = [_of_copy(name, copy) if name else "" for name in node.outputs]
            parts.append(template.named(inputs, outputs))
        if held:
            parts += holds.behind(copy)
    return parts


class _Holds:
    """Nodes that hold the outputs of copies, see the module."""

    def __init__(self, kernel: Kernel) -> None:
        from onnx import NodeProto

        self._outputs = [name for name, _ in kernel.outputs]
        self._shape = NodeTemplate(NodeProto(op_type="Shape"))
        self._reshape = NodeTemplate(NodeProto(op_type="Reshape"))

    def behind(self, copy: int) -> Iterator[Chunk]:
        """The nodes behind a copy: shapes of its outputs, and the end of what the third before it has left."""
        for name in self._outputs:
            shape = _of_copy(f"{name}__shape", copy)
            yield self._shape.named([_of_copy(name, copy)], [shape])
            if copy >= _HELD:
                held = _of_copy(name, copy - _HELD)
                yield self._reshape.named([held, shape], [f"{held}__held"])


class _Weights:
    """Stored tensors of which each copy has its own.

    Attributes:
        names: of these tensors in the kernel.
    """

    def __init__(self, kernel: Kernel, contents: Contents) -> None:
        roles = constant_roles(kernel.nodes)
        self._kinds: list[tuple[str, TensorType, Set[str]]] = [
            (name, constant.type, roles.get(name, frozenset()))
            for name, constant in kernel.constants
            if _is_weight(constant, roles.get(name, frozenset()))
        ]
        self._templates = [TensorTemplate(_unfilled(type_)) for _, type_, _ in self._kinds]
        self._contents = contents
        self.names = [name for name, _, _ in self._kinds]

    def of_copy(self, copy: int) -> Iterator[Chunk]:
        """One copy's tensors, with contents that no other copy has, as fields of a graph."""
        pieces = range(copy * len(self.names), (copy + 1) * len(self.names))
        for piece, (name, type_, roles), template in zip(pieces, self._kinds, self._templates, strict=True):
            yield from template.filled(_of_copy(name, copy), _values(type_, roles, self._contents, piece))


def _unnamed(node: KernelNode) -> "onnx.NodeProto":
    """Op and attributes of a node."""
    from onnx import NodeProto, helper

    made = NodeProto(op_type=node.op, domain=node.domain)
    made.attribute.extend(helper.make_attribute(name, value) for name, value in node.attrs)
    return made


def _unfilled(type_: TensorType) -> "onnx.TensorProto":
    """Type and shape of a stored tensor."""
    from onnx import TensorProto

    return TensorProto(data_type=elem_type(type_.dtype), dims=type_.shape)


def _is_weight(constant: Constant, roles: Set[str]) -> bool:
    """Whether each copy is to have its own: everything but shapes, indices, bounds and zero points."""
    if constant.values is not None:
        return False
    return not roles.isdisjoint((DATA, BIAS)) or constant.type.dtype.startswith(("float", "bfloat"))


def _numpy_dtype(dtype: str) -> np.dtype[Any]:
    from onnx import helper

    return np.dtype(helper.tensor_dtype_to_np_dtype(elem_type(dtype)))


def _tensor(name: str, values: Array) -> "onnx.TensorProto":
    from onnx import numpy_helper

    return numpy_helper.from_array(values, name)


def _stored(constant: Constant) -> Array:
    """A constant that all copies share: its own values, or zeros (an index that is always valid, a mask)."""
    values = (0,) if constant.values is None else constant.values
    dtype = _numpy_dtype(constant.type.dtype)
    return np.broadcast_to(np.asarray(values).astype(dtype).reshape(-1), (constant.type.numel,)).reshape(
        constant.type.shape
    )


def _values(type_: TensorType, roles: Set[str], contents: Contents, piece: int) -> Array:
    """Weights: matrices and filters keep the variance of what they multiply; vectors are positive.

    8-bit tensors take all their values. No two scales are equal: the runtime copies where it need not rescale.
    """
    dtype, count = _numpy_dtype(type_.dtype), type_.numel
    if np.issubdtype(dtype, np.integer):
        if type_.dtype == "int32":  # what biases are
            return contents.bytes(count, piece).view(np.int8).astype(dtype)
        return contents.bytes(count * dtype.itemsize, piece).view(dtype)
    if SCALE in roles:
        return (0.01 + 0.02 * contents.uniform(count, piece)).astype(dtype)
    if type_.rank < 2:  # scales, shifts and variances
        return (0.5 + contents.uniform(count, piece)).astype(dtype)
    summed = max(type_.shape) if type_.rank == 2 else math.prod(type_.shape[1:])
    return (contents.normal(count, piece) * np.float32(summed**-0.5)).astype(dtype, copy=False)


def _feed(name: str, type_: TensorType, kernel: Kernel, contents: Contents, piece: int) -> Array:
    """A valid value for the input ``name``."""
    dtype, count = _numpy_dtype(type_.dtype), type_.numel
    if type_.dtype in ("int8", "uint8"):
        return _values(type_, frozenset(), contents, piece).reshape(type_.shape)
    if not type_.dtype.startswith(("float", "bfloat")):
        most = min(_limits(name, kernel), default=2)
        return (contents.uniform(count, piece) * most).astype(dtype).reshape(type_.shape)
    values = contents.normal(count, piece).reshape(type_.shape)
    positive = any(name in node.inputs and _reads_at(node, name, _POSITIVE.get(node.op)) for node in kernel.nodes)
    return (abs(values) + np.float32(0.5) if positive else values).astype(dtype)


def _reads_at(node: KernelNode, name: str, index: int | None) -> bool:
    return index is not None and index < len(node.inputs) and node.inputs[index] == name


def _limits(name: str, kernel: Kernel) -> Iterator[int]:
    """Lengths of the axes that ``name`` indexes."""
    types = dict(kernel.inputs) | {stored: constant.type for stored, constant in kernel.constants}
    for node in kernel.nodes:
        if node.op.startswith("Gather") and _reads_at(node, name, 1) and node.inputs[0] in types:
            axis = dict(node.attrs).get("axis", 0)
            if isinstance(axis, int):
                yield types[node.inputs[0]].shape[axis]
