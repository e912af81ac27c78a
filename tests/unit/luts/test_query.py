"""`QueryIndex`: what a dictionary would answer, in bulk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")

from lutra.luts import Table
from lutra.luts.query import FLAGS, QueryIndex, names_of, pack_keys
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement
from lutra.networks.errors import UsageError

KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)
FEW_KEYS = st.integers(0, 40).map(lambda number: f"{number:032x}")
LATENCIES = st.floats(0, 1e12)


def hexadecimal(number: int) -> str:
    return f"{number:032x}"


@given(rows=st.dictionaries(KEYS | FEW_KEYS, LATENCIES, max_size=60), asked=st.lists(KEYS | FEW_KEYS))
def test_answers_are_those_of_a_dictionary(rows: dict[str, float], asked: list[str]) -> None:
    asked = [*asked, *rows]
    index = QueryIndex(rows, list(rows.values()))
    assert len(index) == len(rows)
    assert [index.get(key) for key in asked] == [rows.get(key) for key in asked]
    for keys in (asked, pack_keys(asked), np.array(asked, object)):
        found = index.lookup(keys)
        np.testing.assert_array_equal(found.found, [key in rows for key in asked])
        np.testing.assert_array_equal(found.latency_ns, [rows.get(key, np.nan) for key in asked])
        assert np.isnan(found.rel_halfwidth).all()


@given(lengths=st.lists(st.integers(0, 6), max_size=20), seed=st.integers(0, 2**32 - 1))
def test_sums_over_networks_of_different_lengths(lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = {hexadecimal(number): float(random.integers(1, 1000)) for number in range(30)}
    networks = [[hexadecimal(int(n)) for n in random.integers(0, 31, length)] for length in lengths]
    offsets = np.cumsum([0, *lengths])
    index = QueryIndex(rows, list(rows.values()))
    sums = index.sums([key for network in networks for key in network], offsets)
    np.testing.assert_array_equal(sums, [sum(rows.get(key, np.nan) for key in network) for network in networks])


def test_rows_of_a_table() -> None:
    noisy = make_measurement(hexadecimal(1), status="noisy", flags=("load", "of-an-extension"), rel_halfwidth=None)
    rows = [make_measurement(hexadecimal(0), flags=()), noisy, make_failed(hexadecimal(2))]
    table = Table(make_fingerprint(), [*rows, make_measurement(hexadecimal(0), subject_kind="resident")])
    index = QueryIndex.of(table)
    assert len(index) == 2
    assert len(QueryIndex.of(table, "resident")) == 1
    found = index.lookup([row.subject_key for row in rows])
    assert found.found.tolist() == [True, True, False]
    assert found.latency_ns[:2].tolist() == [row.latency_ns for row in rows[:2]]
    assert found.rel_halfwidth[0] == np.float32(0.015)
    assert np.isnan(found.rel_halfwidth[1:]).all()
    assert [names_of(int(bits)) for bits in found.flags] == [(), ("noisy", "load", "other"), ()]
    assert len(FLAGS) <= 16


def test_upper_case_is_the_same_key() -> None:
    index = QueryIndex(["ab" * 16], [1.0])
    assert index.get("AB" * 16) == 1.0
    assert pack_keys(["AB" * 16]).tolist() == [[0xAB] * 16]


def test_an_empty_index_answers() -> None:
    index = QueryIndex([], [])
    assert index.get(hexadecimal(0)) is None
    assert index.lookup([]).latency_ns.shape == (0,)
    assert index.sums([], [0, 0, 0]).tolist() == [0.0, 0.0]
    assert index.nbytes > 0


@pytest.mark.parametrize("wrong", ["", "k0", "g" * 32, "0" * 31, "0" * 33, "é" * 16, "\ud800" * 32, None, 7])
def test_what_is_no_key(wrong: object) -> None:
    index = QueryIndex([hexadecimal(1)], [1.0])
    for ask in (index.get, lambda key: index.lookup([key]), lambda key: pack_keys([hexadecimal(1), key])):
        with pytest.raises(UsageError, match="is not a kernel's key"):
            ask(wrong)


def test_what_is_refused() -> None:
    key = hexadecimal(0xABC)
    with pytest.raises(UsageError, match=f"two rows have the key {key}"):
        QueryIndex([key, hexadecimal(1), key], [1.0, 2.0, 1.0])
    for latency in (-1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="the latency of row 1 is"):
            QueryIndex([key, hexadecimal(1)], [1.0, latency])
    with pytest.raises(UsageError, match="a latency, a half-width and flags"):
        QueryIndex([key], [1.0, 2.0])
    index = QueryIndex([key], [1.0])
    for offsets in ([0, 2], [1, 1], [0, 1, 0, 1], []):
        with pytest.raises(UsageError, match="offsets"):
            index.sums([key], np.array(offsets, np.int64))
    with pytest.raises(UsageError, match="offsets are float64"):
        index.sums([key], [0.0, 1.0])
    for packed in (np.zeros((2, 15), np.uint8), np.zeros(16, np.uint8), np.zeros((2, 16), np.int8)):
        with pytest.raises(UsageError, match="packed keys are uint8"):
            index.lookup(packed)
