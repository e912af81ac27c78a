"""Takes the weights out of an ONNX file without reading them.

A model of hundreds of megabytes is a few kilobytes of graph and the payload of its initializers. Importing needs the
graph alone, so the protobuf wire format is walked here (varint keys, length-delimited fields) and everything but
large payloads is handed to the parser.
"""

from collections.abc import Callable, Iterator

from ..errors import CorruptModelError, ModelTooLargeError

Parts = list[bytes | memoryview]

MAX_FIELDS = 2_000_000
"""Fields on the levels that are walked; a model within the node cap has far fewer."""

LARGE = 1 << 15
"""Payloads over this many bytes stay behind."""

_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_FLOATS, _TENSOR_RAW = 7, 5, 4, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Slim:
    """A model without large payloads.

    Attributes:
        model: a serialised ModelProto.
        left_behind: bytes taken out, by the position of the initializer in the graph.

    Raises:
        CorruptModelError: the bytes are not a protobuf message, or end inside one.
        ModelTooLargeError: over `MAX_FIELDS` fields.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.left_behind: dict[int, int] = {}
        self._initializers = 0
        self._fields = 0
        self.model = b"".join(self._message(buffer, self._in_model))

    def _message(self, buffer: memoryview, rewrite: Callable[[int, memoryview], Parts | None]) -> Parts:
        """The message with every field that ``rewrite`` gives parts for replaced by them."""
        parts: Parts = []
        for start, body, end, key in self._walk(buffer):
            replaced = rewrite(key >> 3, buffer[body:end]) if key & 7 == _BYTES else None
            if replaced is None:
                parts.append(buffer[start:end])
            else:
                parts += replaced
        return parts

    def _in_model(self, field: int, body: memoryview) -> Parts | None:
        return _delimited(field, self._message(body, self._in_graph)) if field == _MODEL_GRAPH else None

    def _in_graph(self, field: int, body: memoryview) -> Parts | None:
        if field != _GRAPH_INITIALIZER:
            return None
        self._initializers += 1
        return _delimited(field, self._message(body, self._in_tensor)) if len(body) > LARGE else None

    def _in_tensor(self, field: int, body: memoryview) -> Parts | None:
        if field not in (_TENSOR_FLOATS, _TENSOR_RAW) or len(body) <= LARGE:
            return None
        position = self._initializers - 1
        self.left_behind[position] = self.left_behind.get(position, 0) + len(body)
        return []

    def _walk(self, buffer: memoryview) -> Iterator[tuple[int, int, int, int]]:
        """(start, start of the body, end, key) of every field."""
        position, size = 0, len(buffer)
        while position < size:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise ModelTooLargeError(f"the ONNX model has over {MAX_FIELDS:,} fields")
            start = position
            key, position = _varint(buffer, position)
            wire = key & 7
            if wire == _BYTES:
                length, position = _varint(buffer, position)
            elif wire == _VARINT:
                length = _varint(buffer, position)[1] - position
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise CorruptModelError("the file is not an ONNX model", hint="check what wrote it")
            body, position = position, position + length
            if position > size:
                raise _truncated()
            yield start, body, position, key


def _varint(buffer: memoryview, position: int) -> tuple[int, int]:
    """The number at ``position``, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(buffer):
            raise _truncated()
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise CorruptModelError("the file is not an ONNX model", hint="check what wrote it")


def _delimited(field: int, parts: Parts) -> Parts:
    """A length-delimited field with ``parts`` as its body."""
    return [_encoded(field << 3 | _BYTES), _encoded(sum(map(len, parts))), *parts]


def _encoded(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _truncated() -> CorruptModelError:
    return CorruptModelError("the ONNX file is truncated or damaged", hint="copy, download or export it again")
