"""Samples survive storage bit for bit, and damage never passes for samples."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lutra.luts.packing import pack, unpack
from lutra.networks.errors import StoreCorruptError

any_int64 = hnp.arrays(np.int64, st.integers(0, 200))


@given(any_int64)
def test_round_trip(values: np.ndarray) -> None:
    again = unpack(pack(values), where="row")
    assert again.dtype == np.int64
    assert np.array_equal(again, values)


@given(hnp.arrays(np.int32, st.integers(0, 50)))
def test_narrower_integers_round_trip(values: np.ndarray) -> None:
    assert np.array_equal(unpack(pack(values), where="row"), values)


def test_extremes_wrap_without_loss() -> None:
    limits = np.iinfo(np.int64)
    values = np.array([limits.max, limits.min, 0, limits.min, limits.max, -1], np.int64)
    assert np.array_equal(unpack(pack(values), where="row"), values)


def test_real_samples_are_compact() -> None:
    samples = np.random.default_rng(1).normal(1e6, 1e4, 1000).astype(np.int64)
    assert len(pack(samples)) < 2600  # 8000 bytes raw; a spread of 10^4 ns needs about two bytes a sample


def test_layout_is_what_the_docstring_says() -> None:
    stored = struct.pack("<BQ", 1, 2) + zlib.compress(bytes([2, 1] + [0] * 14))
    assert unpack(stored, where="row").tolist() == [1, 0]  # zig-zag 2 is +1, then 1 is -1


@given(any_int64, st.data())
def test_any_flipped_bit_is_found(values: np.ndarray, data: st.DataObject) -> None:
    blob = bytearray(pack(values))
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(StoreCorruptError):  # zlib's header has bits that do not change the content
        assert np.array_equal(unpack(bytes(blob), where="row"), values)


@given(any_int64, st.data())
def test_any_truncation_is_found(values: np.ndarray, data: st.DataObject) -> None:
    blob = pack(values)
    with pytest.raises(StoreCorruptError):
        unpack(blob[: data.draw(st.integers(0, len(blob) - 1))], where="row")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"garbage",
        b"\x02" + pack(np.arange(3))[1:],
        pack(np.arange(3)) + b"x",
        struct.pack("<BQ", 1, 1 << 60) + zlib.compress(bytes(800)),
        struct.pack("<BQ", 1, 99) + zlib.compress(bytes(800)),
        struct.pack("<BQ", 1, 101) + zlib.compress(bytes(800)),
    ],
)
def test_malformed_blobs_are_refused(blob: bytes) -> None:
    with pytest.raises(StoreCorruptError, match="samples of kernel k0"):
        unpack(blob, where="kernel k0")
