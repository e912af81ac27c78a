"""The compiled sums beside numpy, and beside their own naive twin."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

native = pytest.importorskip("lutra.luts._native", reason="the extension module is not built")

ISAS = st.sampled_from(native.available_isas())
DTYPES = st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Costs [P, C], limits [P] and codes [n, P] in some order in memory, all of which fit."""
    random = np.random.default_rng(draw(SEEDS))
    dtype = np.dtype(draw(DTYPES))
    positions = draw(st.integers(0, 24))
    choices = draw(st.integers(1, min(300, np.iinfo(dtype).max + 1)))
    n = draw(st.integers(0, 200) | st.integers(1000, 2100))
    costs = random.random((positions, choices), np.float32) * 1e6
    limits = random.integers(1, choices + 1, positions).astype(np.uint32)
    codes = random.integers(0, limits, (n, positions)).astype(dtype)
    order = draw(st.sampled_from(["C", "F", "reversed", "every other", "unaligned"]))
    if order == "F":
        codes = np.asfortranarray(codes)
    elif order == "reversed":
        codes = codes[::-1, ::-1].copy()[::-1, ::-1]
    elif order == "every other":
        codes = np.repeat(codes, 2, axis=0)[::2]
    elif order == "unaligned":
        memory = np.zeros(codes.nbytes + 1, np.uint8)
        shifted = memory[1:].view(dtype).reshape(codes.shape) if codes.size else codes
        shifted[...] = codes
        codes = shifted
    return costs, limits, codes


@given(case=cases(), isa=ISAS, start=st.floats(0, 1e6, width=32), threads=st.integers(1, 3))
def test_sums_and_maxima(case: tuple[np.ndarray, ...], isa: str, start: float, threads: int) -> None:
    costs, limits, codes = case
    picked = costs[np.arange(len(limits)), codes.astype(np.int64)]
    expected = {"sum": start + picked.sum(axis=1, dtype=np.float64), "max": picked.max(axis=1, initial=start)}
    for reduce, values in expected.items():
        found = native.DenseCosts(costs, limits, reduce=reduce, isa=isa).evaluate(codes, start=start, threads=threads)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values, rtol=1e-5)
        np.testing.assert_array_equal(found, native.reference_evaluate(costs, codes, start=start, reduce=reduce))


@given(case=cases(), isa=ISAS, data=st.data())
def test_a_misfit_is_named(case: tuple[np.ndarray, ...], isa: str, data: st.DataObject) -> None:
    costs, limits, codes = case
    assume(codes.size)
    codes, named = codes.copy("K"), np.iinfo(codes.dtype)
    architecture = data.draw(st.integers(0, len(codes) - 1))
    position = data.draw(st.integers(0, len(limits) - 1))
    limit = int(limits[position])
    beyond = (-1, named.min, limit, limit + 256, limit + 65536, 2**63 - 1)
    wrong = [value for value in beyond if named.min <= value <= named.max and not 0 <= value < limit]
    assume(wrong)
    codes[architecture, position] = chosen = data.draw(st.sampled_from(wrong))
    with pytest.raises(IndexError, match=f"architecture {architecture} has choice {chosen} at position {position},"):
        native.DenseCosts(costs, limits, isa=isa).evaluate(codes)


def test_arguments_are_checked() -> None:
    costs, limits = np.ones((2, 3), np.float32), np.array([3, 2])
    dense = native.DenseCosts(costs, limits)
    for codes in (np.zeros((4, 2)), np.zeros(2, np.uint8), np.zeros((4, 2), ">i4"), np.zeros((4, 2), bool)):
        with pytest.raises(TypeError, match="codes must be integers"):
            dense.evaluate(codes)
    with pytest.raises(ValueError, match="codes have 3 positions, the costs 2"):
        dense.evaluate(np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="0 threads"):
        dense.evaluate(np.zeros((4, 2), np.uint8), threads=0)
    with pytest.raises(ValueError, match="unknown reduction 'mean'"):
        native.DenseCosts(costs, limits, reduce="mean")
    with pytest.raises(ValueError, match="no kernels for 'mmx'"):
        native.DenseCosts(costs, limits, isa="mmx")
    with pytest.raises(ValueError, match="position 1 has 4 choices"):
        native.DenseCosts(costs, np.array([3, 4]))
    with pytest.raises(ValueError, match=r"shape \[positions, states, choices\]"):
        native.StateWalk(costs, limits, start=0)
    with pytest.raises(IndexError, match="architecture 0 has choice 9"):
        native.reference_evaluate(costs, np.array([[9, 0]]))


def test_codes_are_not_copied() -> None:
    """A read-only view is as good as an array of one's own."""
    codes = np.zeros((10, 2), np.uint8)
    codes.flags.writeable = False
    assert native.DenseCosts(np.ones((2, 3), np.float32), [3, 3]).evaluate(codes).tolist() == [2.0] * 10
