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
    kernel: Kernel, copies: int, rng: np.random.Generator, *, exposed: bool = False
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
    roles = constant_roles(kernel.nodes)
    weights = {name: c for name, c in kernel.constants if _is_weight(c, roles.get(name, frozenset()))}
    shared = {name for name, _ in kernel.inputs} | {name for name, _ in kernel.constants if name not in weights}
    tensors = [_tensor(name, _stored(constant)) for name, constant in kernel.constants if name in shared]
    drawn = {name: _draw(c.type, roles.get(name, frozenset()), rng) for name, c in weights.items()}
    nodes: list[onnx.NodeProto] = []
    last = ""
    for copy in range(copies):
        # A rolled tensor has other contents, without drawing it again.
        tensors += [_tensor(f"{name}__{copy}", np.roll(values, copy)) for name, values in drawn.items()]
        nodes += [_copied(node, copy, shared) for node in kernel.nodes]
        if exposed:
            continue
        for name, _ in kernel.outputs:
            last = f"{name}__{copy}__shape"
            nodes.append(helper.make_node("Shape", [f"{name}__{copy}"], [last]))
            if copy >= _HELD:
                held = f"{name}__{copy - _HELD}"
                nodes.append(helper.make_node("Reshape", [held, last], [f"{held}__held"]))
    inputs = [helper.make_tensor_value_info(name, elem_type(t.dtype), t.shape) for name, t in kernel.inputs]
    outputs = [helper.make_tensor_value_info(last, elem_type("int64"), None)]
    if exposed:
        outputs = [
            helper.make_tensor_value_info(f"{name}__{copies - 1}", elem_type(t.dtype), t.shape)
            for name, t in kernel.outputs
        ]
    graph = helper.make_graph(nodes, "kernel", inputs, outputs, tensors)
    domains = {node.domain for node in kernel.nodes} - {""}
    opsets = [helper.make_opsetid("", kernel.opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    return _serialised(graph, opsets), {name: _feed(name, type_, kernel, rng) for name, type_ in kernel.inputs}


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
    from onnx import helper

    version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
    return bytes(model.SerializeToString())


def _copied(node: KernelNode, copy: int, shared: set[str]) -> "onnx.NodeProto":
    from onnx import helper

    inputs = [name if not name or name in shared else f"{name}__{copy}" for name in node.inputs]
    outputs = [f"{name}__{copy}" if name else "" for name in node.outputs]
    made = helper.make_node(node.op, inputs, outputs, domain=node.domain)
    # One by one: an attribute may be called "name" or "domain", as arguments of `make_node` are.
    made.attribute.extend(helper.make_attribute(name, value) for name, value in node.attrs)
    return made


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


def _draw(type_: TensorType, roles: Set[str], rng: np.random.Generator) -> Array:
    """Random weights: matrices and filters keep the variance of what they multiply; vectors are positive.

    8-bit tensors take all their values. No two scales are equal: the runtime copies where it need not rescale.
    """
    dtype = _numpy_dtype(type_.dtype)
    if np.issubdtype(dtype, np.integer):
        bounds = np.iinfo(np.int8 if type_.dtype == "int32" else dtype)
        return rng.integers(bounds.min, bounds.max, type_.shape, dtype, endpoint=True)
    if SCALE in roles:
        return np.asarray(rng.uniform(0.01, 0.03, type_.shape)).astype(dtype)
    if type_.rank < 2:  # scales, shifts and variances
        return np.asarray(rng.uniform(0.5, 1.5, type_.shape)).astype(dtype)
    summed = max(type_.shape) if type_.rank == 2 else math.prod(type_.shape[1:])
    values = rng.standard_normal(type_.shape, dtype=np.float32)
    values *= np.float32(summed**-0.5)
    return values.astype(dtype, copy=False)


def _feed(name: str, type_: TensorType, kernel: Kernel, rng: np.random.Generator) -> Array:
    """A valid value for the input ``name``."""
    dtype = _numpy_dtype(type_.dtype)
    if type_.dtype in ("int8", "uint8"):
        return _draw(type_, frozenset(), rng)
    if not type_.dtype.startswith(("float", "bfloat")):
        return rng.integers(0, min(_limits(name, kernel), default=2), type_.shape).astype(dtype)
    values = rng.standard_normal(type_.shape, dtype=np.float32)
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
