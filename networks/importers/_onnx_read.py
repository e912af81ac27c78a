"""Reads an ONNX file as far as importing needs it, and refuses what must not or cannot be read."""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptModelError, ExternalDataError, ModelTooLargeError, NotSupportedError
from ..ops._base import MAX_NUMEL
from ._draft import Stored
from ._wire import Slim
from .result import TensorSource

if TYPE_CHECKING:
    import onnx

MAX_FILE_BYTES = 2 << 30
MAX_NODES = 100_000
MAX_GRAPH_BYTES = 256 << 20
"""Largest graph beside its large weights; real ones take kilobytes."""

READ_VALUES = 4096
"""Tensors up to this many elements are read; larger ones are known by name, shape and element type."""

OLDEST_OPSET = 7
"""Before it, broadcasting was an attribute of each op."""

_BYTES_PER_ELEMENT = {"FLOAT": 4, "FLOAT16": 2, "BFLOAT16": 2, "DOUBLE": 8, "INT8": 1, "UINT8": 1, "BOOL": 1}
_BYTES_PER_ELEMENT |= {"INT16": 2, "UINT16": 2, "INT32": 4, "UINT32": 4, "INT64": 8, "UINT64": 8}


@dataclass(frozen=True)
class Model:
    """A parsed model.

    Attributes:
        graph: its main graph, with large payloads left out.
        opsets: version by domain; the default domain is "".
        left_behind: bytes left out, by the position of the initializer.
    """

    graph: "onnx.GraphProto"
    opsets: dict[str, int]
    left_behind: dict[int, int]


def read(source: str | Path | bytes) -> Model:
    """The model in a file, or in ``bytes``.

    Raises:
        CorruptModelError: it cannot be read, or is not a whole ONNX model.
        ExternalDataError: it points at other files.
        ModelTooLargeError: over one of the caps of this module.
        NotSupportedError: it is older than `OLDEST_OPSET`.
    """
    if isinstance(source, bytes):
        return _parse(source)
    try:
        with open(source, "rb") as file:
            if not file.seek(0, 2):  # an empty file cannot be mapped
                return _parse(b"")
            # Not closed here: after an error, its traceback still holds views of the mapping, which goes with them.
            return _parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise CorruptModelError(f"{source} cannot be read: {error.strerror}", hint="check the path") from None


def _parse(data: bytes | mmap.mmap) -> Model:
    import onnx
    from google.protobuf.message import DecodeError

    if not len(data):
        raise CorruptModelError("the ONNX file is empty", hint="export it again")
    if len(data) > MAX_FILE_BYTES:
        raise ModelTooLargeError(f"the ONNX file has {len(data):,} bytes; the limit is {MAX_FILE_BYTES:,}")
    with memoryview(data) as view:
        slim = Slim(view)
    if len(slim.model) > MAX_GRAPH_BYTES:
        raise ModelTooLargeError(f"the graph takes {len(slim.model):,} bytes; the limit is {MAX_GRAPH_BYTES:,}")
    try:
        model = onnx.ModelProto.FromString(slim.model)
    except DecodeError as error:
        raise CorruptModelError(f"the file is not an ONNX model: {error}", hint="check what wrote it") from None
    if not model.HasField("graph") or not model.opset_import:
        raise CorruptModelError("the file holds no ONNX graph, or no opset version", hint="check what wrote it")
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}
    if 0 < opsets.get("", OLDEST_OPSET) < OLDEST_OPSET:
        raise NotSupportedError(
            f"the model uses ONNX opset {opsets['']}; {OLDEST_OPSET} is the oldest that is read",
            hint="convert it with onnx.version_converter.convert_version(model, 17)",
        )
    _check_external(model)
    model = _inlined(model)
    if len(model.graph.node) > MAX_NODES:
        raise ModelTooLargeError(f"the graph has {len(model.graph.node):,} nodes; the limit is {MAX_NODES:,}")
    if not all(isinstance(text, str) for text in _texts(model.graph)):
        raise CorruptModelError("a name in the model is not valid text", hint="export it again")
    return Model(model.graph, opsets, slim.left_behind)


def _texts(graph: "onnx.GraphProto") -> Iterator[object]:
    """Every name in a graph; protobuf hands over bytes where they are not UTF-8."""
    yield graph.name
    yield from (tensor.name for tensor in graph.initializer)
    for value in (*graph.input, *graph.output):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _inlined(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model with calls of its own functions replaced by what they do."""
    if not model.functions:
        return model
    from onnx import inliner

    sizes: dict[_Key, int] = {}
    bodies = {(f.domain, f.name, f.overload): f for f in model.functions}
    try:
        if sum(_expanded(node, bodies, sizes) for node in model.graph.node) > MAX_NODES:
            raise ModelTooLargeError(f"the functions of the model grow to over {MAX_NODES:,} nodes")
    except RecursionError:
        raise ModelTooLargeError("the functions of the model are nested too deep") from None
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the C++ side raises several types, all for models that make no sense
        raise CorruptModelError(f"the functions of the model cannot be resolved: {error}") from None


_Key = tuple[str, str, str]


def _expanded(node: "onnx.NodeProto", bodies: "dict[_Key, onnx.FunctionProto]", sizes: dict[_Key, int]) -> int:
    """How many nodes a node becomes once functions are inlined; ``sizes`` remembers those of functions."""
    key = (node.domain, node.op_type, node.overload)
    if key not in bodies:
        return 1
    if sizes.get(key) == 0:
        raise CorruptModelError(f"the model's function {node.op_type!r} calls itself", hint="export the model again")
    if key not in sizes:
        sizes[key] = 0  # being counted
        sizes[key] = 1 + sum(_expanded(inner, bodies, sizes) for inner in bodies[key].node)
    return sizes[key]


def _check_external(model: "onnx.ModelProto") -> None:
    for tensor in _tensors(model):
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            raise ExternalDataError(
                f"tensor {tensor.name!r} lies in another file, which is not opened",
                hint="save the model as one file: onnx.save(onnx.load(path), new_path)",
            )


def _tensors(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Every stored tensor, in subgraphs and functions too."""
    graphs = [model.graph]
    nodes = [function.node for function in model.functions]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.append(graph.node)
        for node in nodes.pop():
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
                if attribute.HasField("g"):
                    graphs.append(attribute.g)
                graphs.extend(attribute.graphs)


def stored(tensor: "onnx.TensorProto", name: str, *, left_behind: int = 0, learned: bool = False) -> Stored:
    """``tensor`` as the importer keeps it.

    Args:
        tensor: what the model stores.
        name: what others call it.
        left_behind: bytes of it that were not read.
        learned: it is an initializer; only those of several real numbers count as trained.

    Raises:
        CorruptModelError: its size and its shape do not fit together.
    """
    from onnx import TensorProto, numpy_helper

    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise CorruptModelError(f"tensor {name!r} has the unknown element type {tensor.data_type}")
    element = TensorProto.DataType.Name(tensor.data_type)
    dtype = {"FLOAT": "float32", "DOUBLE": "float64"}.get(element, element.lower())
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_NUMEL:
        raise CorruptModelError(f"tensor {name!r} has the impossible shape {shape}")
    count = math.prod(shape)
    size = left_behind or len(tensor.raw_data)
    if size and element in _BYTES_PER_ELEMENT and size != count * _BYTES_PER_ELEMENT[element]:
        raise CorruptModelError(f"tensor {name!r} of shape {shape} holds {size:,} bytes", hint="export the model again")
    values: np.ndarray[Any, Any] | None = None
    if count <= READ_VALUES and not left_behind and element != "STRING":
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise CorruptModelError(f"tensor {name!r} cannot be read: {error}") from None
    trained = learned and count > 1 and "float" in dtype and tensor.doc_string != "constant"
    return Stored(shape, dtype, trained, TensorSource(name), values)
