"""ONNX models in the terms of `Kernel`: nodes, stored tensors and types, without weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import (
    CorruptModelError,
    DynamicShapeError,
    ExternalDataError,
    UnsupportedDtypeError,
    UnsupportedOpError,
)
from ..ops import TensorType
from .kernel import AttrValue, Constant, KernelNode
from .quantised import BIAS, DATA, ZERO, constant_roles

if TYPE_CHECKING:
    import onnx

MAX_VALUES = 64
"""Longest integer constant whose values are kept."""

MAX_BOUNDS = 8
"""Longest floating-point constant whose values are kept, where they decide the computation."""

_DECIDING = {"Clip": (1, 2), "Pad": (2,), "Pow": (1,), "Resize": (1, 2), "Upsample": (1,)}
"""Inputs whose floating-point values decide what is computed or how fast; everywhere else they are weights."""

_DTYPES = {
    "FLOAT": "float32",
    "FLOAT16": "float16",
    "BFLOAT16": "bfloat16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT4": "int4",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class OnnxGraph:
    """A graph without weights.

    Attributes:
        nodes: in the file's order.
        names: the nodes' own names, as ``nodes``.
        inputs: activations that the caller feeds, with their types.
        constants: stored tensors by name.
        outputs: names of what it returns.
        opset: version of the default op set.
    """

    nodes: tuple[KernelNode, ...]
    names: tuple[str, ...]
    inputs: tuple[tuple[str, TensorType], ...]
    constants: dict[str, Constant]
    outputs: tuple[str, ...]
    opset: int


def parse(data: bytes) -> "onnx.ModelProto":
    """The model in ``data``.

    Raises:
        CorruptModelError: not an ONNX model.
        ExternalDataError: its weights are in other files.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise CorruptModelError("this is not an ONNX model, or it is truncated") from None
    if not model.graph.node:
        raise CorruptModelError("the ONNX model is empty, or it is truncated")
    external = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if external:
        raise ExternalDataError(
            f"the ONNX model keeps {len(external)} weights in other files (first: {external[0]!r})",
            hint="save it as one file: onnx.save(model, path, save_as_external_data=False)",
        )
    return model


def read(model: "onnx.ModelProto") -> OnnxGraph:
    """The model's graph; constant nodes become stored tensors.

    Raises:
        DynamicShapeError: an input has a dimension that is not a positive integer.
        UnsupportedDtypeError: an element type nobody here computes with.
        UnsupportedOpError: control flow.
    """
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    aliases: dict[str, str] = {}
    nodes: list[KernelNode] = []
    names: list[str] = []
    for node in graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = _constant_node(node)
        elif node.op_type == "Identity" and aliases.get(node.input[0], node.input[0]) in stored:
            aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
        else:
            nodes.append(_node(node, aliases))
            names.append(node.name)
    empty = {name for name, tensor in stored.items() if 0 in tensor.dims}
    nodes = [_without_empty(node, empty) for node in nodes]
    kept = _kept_values(nodes)
    immaterial = {name for name, roles in constant_roles(nodes).items() if roles <= {BIAS, DATA, ZERO}}
    used = {name for node in nodes for name in node.inputs}
    return OnnxGraph(
        nodes=tuple(nodes),
        names=tuple(names),
        inputs=tuple((i.name, input_type(i)) for i in graph.input if i.name not in stored),
        constants={
            name: _constant(tensor, name in kept, name in immaterial) for name, tensor in stored.items() if name in used
        },
        outputs=tuple(output.name for output in graph.output),
        opset=next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1),
    )


def dtype_name(elem_type: int) -> str:
    """Lutra's name of an ONNX element type.

    Raises:
        UnsupportedDtypeError: nobody here computes with it.
    """
    import onnx

    try:
        onnx_name = onnx.TensorProto.DataType.Name(elem_type)
    except ValueError:
        onnx_name = str(elem_type)
    if onnx_name not in _DTYPES:
        raise UnsupportedDtypeError(
            f"element type {onnx_name} of the ONNX model is not supported", hint=f"use one of {', '.join(_DTYPES)}"
        )
    return _DTYPES[onnx_name]


def input_type(value: "onnx.ValueInfoProto") -> TensorType:
    """Type of a graph input.

    Raises:
        DynamicShapeError: a dimension is not a positive integer.
        UnsupportedDtypeError: an element type nobody here computes with.
    """
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    if not tensor.HasField("shape") or any(not isinstance(dim, int) or dim < 1 for dim in dims):
        raise DynamicShapeError(
            f"input {value.name!r} of the ONNX model has shape {dims}", hint="export it with a fixed input shape"
        )
    return TensorType(tuple(int(dim) for dim in dims), dtype_name(tensor.elem_type))


def _node(node: "onnx.NodeProto", aliases: dict[str, str]) -> KernelNode:
    inputs = tuple(aliases.get(name, name) for name in node.input)
    domain = "" if node.domain == "ai.onnx" else node.domain
    attrs = ((a.name, _attribute(node, a)) for a in node.attribute)
    return KernelNode(
        op=node.op_type,
        domain=domain,
        # An empty list has lost its element type, and says nothing that its absence does not.
        attrs=tuple(sorted((name, value) for name, value in attrs if value != ())),
        inputs=_trimmed(inputs),
        outputs=_trimmed(tuple(node.output)),
    )


def _trimmed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Without the omitted optional ones at the end."""
    while names and not names[-1]:
        names = names[:-1]
    return names


def _attribute(node: "onnx.NodeProto", attribute: "onnx.AttributeProto") -> AttrValue:
    import onnx

    kinds = onnx.AttributeProto
    if attribute.type not in (kinds.INT, kinds.FLOAT, kinds.STRING, kinds.INTS, kinds.FLOATS, kinds.STRINGS):
        raise UnsupportedOpError("the lowered ONNX graph", {node.op_type: 1}, hint="unroll loops and branches first")
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float):
        return value
    return tuple(item.decode() if isinstance(item, bytes) else item for item in value)


def _constant_node(node: "onnx.NodeProto") -> "onnx.TensorProto":
    """The tensor that a ``Constant`` node holds, whichever way it is written."""
    import onnx

    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return value
    if attribute.name not in ("value_int", "value_ints", "value_float", "value_floats"):
        raise UnsupportedOpError("the ONNX graph", {f"Constant.{attribute.name}": 1})
    return onnx.numpy_helper.from_array(np.asarray(value, np.float32 if "float" in attribute.name else np.int64))


def _without_empty(node: KernelNode, empty: set[str]) -> KernelNode:
    """Optional inputs given as tensors without elements (a resize's region of interest) are left out instead."""
    if not empty.intersection(node.inputs):
        return node
    if node.op not in ("Resize", "Upsample"):
        raise UnsupportedOpError("the ONNX graph has tensors without elements and", {node.op: 1})
    inputs = tuple("" if name in empty else name for name in node.inputs)
    return KernelNode(node.op, node.domain, node.attrs, _trimmed(inputs), node.outputs)


def _kept_values(nodes: Iterable[KernelNode]) -> set[str]:
    """Floating-point constants whose values decide something."""
    return {
        node.inputs[i] for node in nodes for i in _DECIDING.get(node.op, ()) if not node.domain and i < len(node.inputs)
    }


def _constant(tensor: "onnx.TensorProto", keep: bool, immaterial: bool) -> Constant:
    """A stored tensor, with its values where they decide something: floats to ``keep``, integers that are material."""
    type_ = TensorType(tuple(tensor.dims), dtype_name(tensor.data_type))
    floating = type_.dtype.startswith(("float", "bfloat"))
    small = type_.dtype in ("int64", "int32") and type_.numel <= MAX_VALUES
    if floating and keep and type_.numel <= MAX_BOUNDS:
        return Constant(type_, tuple(_array(tensor).astype(np.float64).tolist()))
    if not immaterial and (small or (not floating and type_.numel == 1)):
        return Constant(type_, tuple(_array(tensor).astype(np.int64).tolist()))
    return Constant(type_)


def _array(tensor: "onnx.TensorProto") -> "np.ndarray[tuple[int], np.dtype[Any]]":
    import onnx

    return onnx.numpy_helper.to_array(tensor).reshape(-1)


def elem_type(dtype: str) -> int:
    """ONNX's number for one of Lutra's element types."""
    import onnx

    onnx_name = next(onnx_name for onnx_name, name in _DTYPES.items() if name == dtype)
    return int(onnx.TensorProto.DataType.Value(onnx_name))
