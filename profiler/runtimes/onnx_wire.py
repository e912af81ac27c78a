"""Parts of an ONNX model as bytes, for what is repeated for every copy of a kernel.

A model of many copies is mostly nodes that differ in names and tensors that differ in contents. Written as bytes, each
is put together from a part that is encoded once; protobuf's own objects would take longer than timing the kernel.

A message of protobuf is a row of fields, in any order, and a field of bytes, text or messages is a tag, a length and
the content (Protocol Buffers documentation, "Encoding"). Field numbers are those of ``onnx.proto``.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

Chunk = bytes | memoryview
"""A piece of a message."""

_ONE_BYTE = tuple(bytes([value]) for value in range(0x80))


def _tag(number: int) -> bytes:
    """Of a field of bytes, text or messages; numbers below 16 take one byte."""
    return _ONE_BYTE[number << 3 | 2]


_NODE_INPUT, _NODE_OUTPUT = _tag(1), _tag(2)
_GRAPH_NODE, _GRAPH_INITIALIZER = _tag(1), _tag(5)
_TENSOR_NAME, _TENSOR_RAW_DATA = _tag(8), _tag(9)
_MODEL_GRAPH = _tag(7)


class NodeTemplate:
    """A node, to be written again and again under other names.

    Args:
        node: op, domain and attributes; inputs and outputs are left out of it.
    """

    def __init__(self, node: "onnx.NodeProto") -> None:
        self._fixed = node.SerializeToString()

    def named(self, inputs: Iterable[str], outputs: Iterable[str]) -> bytes:
        """A field of a graph: the node between these tensors."""
        names = [_field(_NODE_INPUT, name.encode()) for name in inputs]
        names += [_field(_NODE_OUTPUT, name.encode()) for name in outputs]
        return _field(_GRAPH_NODE, b"".join((*names, self._fixed)))


class TensorTemplate:
    """A stored tensor, to be written again and again under other names with other contents.

    Args:
        tensor: type and shape; name and contents are left out of it.
    """

    def __init__(self, tensor: "onnx.TensorProto") -> None:
        self._fixed = tensor.SerializeToString()

    def filled(self, name: str, values: np.ndarray) -> list[Chunk]:
        """A field of a graph: the tensor with ``values``, which are dense, in the machine's order of bytes."""
        head = self._fixed + _field(_TENSOR_NAME, name.encode()) + _TENSOR_RAW_DATA + _varint(values.nbytes)
        return [_GRAPH_INITIALIZER + _varint(len(head) + values.nbytes) + head, values.reshape(-1).view(np.uint8).data]


def joined(model: "onnx.ModelProto", graph: "onnx.GraphProto", parts: Sequence[Chunk]) -> bytes:
    """A whole model: ``model`` without a graph, and ``graph`` with the fields ``parts`` appended."""
    begin = graph.SerializeToString()
    length = len(begin) + sum(len(part) for part in parts)
    return b"".join((model.SerializeToString(), _MODEL_GRAPH, _varint(length), begin, *parts))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    if value < len(_ONE_BYTE):
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
