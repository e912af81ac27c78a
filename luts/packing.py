"""Integer samples as compact bytes, and back without loss.

Layout 1: one byte layout number, eight bytes count (little endian), then a zlib stream. The stream holds the
differences between neighbours (modulo 2^64, so that any int64 survives), zig-zag coded so that small differences of
either sign are small numbers, and stored byte plane by byte plane: the high planes are nearly all zero and
vanish. zlib's own checksum finds damage.
"""

import struct
import zlib
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import StoreCorruptError

_LAYOUT: Final = 1
_HEADER: Final = struct.Struct("<BQ")
_MAX_VALUES: Final = 1 << 26  # half a gigabyte; more is damage, or an attempt to exhaust memory


def pack(values: NDArray[np.signedinteger[Any]]) -> bytes:
    """Return the bytes of a 1-D integer array, shape [n] of any signed integer type."""
    return _packed(np.ascontiguousarray(values, dtype=np.int64).tobytes())


@lru_cache(maxsize=256)  # rows that were measured together have the same rounds
def _packed(raw: bytes) -> bytes:
    unsigned = np.frombuffer(raw, np.uint64)
    deltas = unsigned.copy()
    deltas[1:] -= unsigned[:-1]
    sign = (deltas.view(np.int64) >> 63).view(np.uint64)
    planes = ((deltas << np.uint64(1)) ^ sign).astype("<u8").view(np.uint8).reshape(-1, 8).T
    return _HEADER.pack(_LAYOUT, len(unsigned)) + zlib.compress(planes.tobytes(), 6)


def unpack(blob: bytes, *, where: str) -> NDArray[np.int64]:
    """Return the array that ``pack`` was given, shape [n], int64.

    Args:
        blob: what ``pack`` returned.
        where: names the row in an error.

    Raises:
        StoreCorruptError: the bytes are damaged.
    """
    try:
        layout, count = _HEADER.unpack_from(blob)
    except struct.error:
        raise _damaged(where, "too short") from None
    if layout != _LAYOUT or count > _MAX_VALUES:
        raise _damaged(where, f"layout {layout}, {count} values")
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(blob[_HEADER.size :], 8 * count + 1)
    except zlib.error as error:
        raise _damaged(where, str(error)) from error
    if len(raw) != 8 * count or not stream.eof or stream.unused_data:
        raise _damaged(where, f"{count} values announced, {len(raw)} bytes found")
    planes = np.frombuffer(raw, np.uint8).reshape(8, count).T
    zigzag = np.ascontiguousarray(planes).view("<u8").reshape(count).astype(np.uint64)
    deltas = (zigzag >> np.uint64(1)) ^ (np.uint64(0) - (zigzag & np.uint64(1)))
    return np.cumsum(deltas, dtype=np.uint64).view(np.int64)


def _damaged(where: str, detail: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"the samples of {where} are damaged ({detail})", hint="delete the device's rows and profile it again"
    )
