"""Frames between the profiler and a worker process: a JSON object and, beside it, raw bytes.

A frame is two little-endian unsigned 64-bit lengths, then the JSON text, then the bytes. Nothing is pickled.
"""

import json
import struct
from typing import IO, Any

SAMPLE_COLUMNS = ("wall_ns", "cpu_ns", "involuntary_switches", "minor_faults", "round", "start_ns")
"""What is recorded of every sample, in the order a worker packs the int64 columns."""

_HEADER = struct.Struct("<QQ")


def send(stream: IO[bytes], message: dict[str, Any], blob: bytes = b"") -> None:
    """Write one frame and flush it."""
    text = json.dumps(message).encode()
    stream.write(_HEADER.pack(len(text), len(blob)) + text)
    stream.write(blob)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one frame; None where the other side has closed the stream."""
    header = _exactly(stream, _HEADER.size)
    if header is None:
        return None
    text_length, blob_length = _HEADER.unpack(header)
    text, blob = _exactly(stream, text_length), _exactly(stream, blob_length)
    if text is None or blob is None:
        return None
    message: dict[str, Any] = json.loads(text)
    return message, blob


def _exactly(stream: IO[bytes], length: int) -> bytes | None:
    parts = []
    while length:
        part = stream.read(length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
