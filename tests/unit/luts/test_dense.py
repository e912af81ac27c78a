"""Dense tables of spaces: every network's latency as `compose` gives it, whatever the layouts and the cache."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")

from lutra.luts import Fingerprint, Measurement, Table
from lutra.luts.compose import RUN_CONSTANT, compose
from lutra.luts.dense import DenseTable
from lutra.luts.residency import CACHE_KEY, RESIDENT
from lutra.luts.testing import conv_row
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck, shuffle_unit_v2
from lutra.networks.errors import NotCoveredError, NotSupportedError, UnknownNameError, UsageError
from lutra.networks.lowering.blocks import Block, BlockSpace, LoweredSpace, lower_blocks


def bottleneck(out: int, kernel: int, ratio: int, stride: int = 1) -> Block:
    return lambda b, x: inverted_bottleneck(
        b, x, out, mid_channels=b.channels(x) * ratio, kernel_size=kernel, stride=stride
    )


def nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, stride=2, activation="relu6")


def classifier(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


def mobile(size: int = 32) -> LoweredSpace:
    """Decisions of two, five and three choices; all layers keep the runtime's own layout."""
    candidates = tuple(bottleneck(24, k, e) for k in (3, 5) for e in (3, 6))
    positions = (
        (bottleneck(24, 3, 3, 2), bottleneck(24, 5, 6, 2)),
        (*candidates, nothing),
        (*candidates[:2], nothing),
    )
    image = TensorType((1, 3, size, size))
    return lower_blocks(BlockSpace("mobile", image, stem, positions, classifier), "native")


def shuffled(size: int = 32) -> LoweredSpace:
    """Units that leave plain tensors, and convolutions that leave the runtime's own layout."""
    unit: Block = lambda b, x: shuffle_unit_v2(b, x, b.channels(x))  # noqa: E731
    conv: Block = lambda b, x: conv_norm_act(b, x, b.channels(x))  # noqa: E731
    positions = ((unit, conv, nothing),) * 3
    image = TensorType((1, 3, size, size))
    return lower_blocks(BlockSpace("shuffled", image, stem, positions, classifier), "native")


MOBILE, SHUFFLED = mobile(), shuffled()
SPACES = {
    "mobile": (MOBILE,),
    "shuffled": (SHUFFLED,),
    "sizes": (MOBILE, mobile(48), mobile(64)),
    "shuffled sizes": (SHUFFLED, shuffled(48)),
}
CACHES_KIB = (None, 16, 128, 1 << 20)  # not known; every, some and no network of the spaces larger than it


def table_of(
    spaces: tuple[LoweredSpace, ...], cache_kib: int | None, seed: int = 0, *, without: frozenset[str] = frozenset()
) -> Table:
    """A row for each kernel of the spaces, for every other one a second with its weights in the cache."""
    random = np.random.default_rng(seed)
    hardware = {"model": "test"} | ({CACHE_KEY: cache_kib} if cache_kib else {})
    settings = {"precision": "float32", "threads": 1}
    fingerprint = Fingerprint.of("null", hardware=hardware, runtime={"name": "native"}, settings=settings)
    rows = [row("constant", RUN_CONSTANT, 1500)]
    keys = sorted({key for space in spaces for key in space.distinct} - without)
    for number, key in enumerate(keys):
        cold_ns = int(random.integers(1000, 10_000_000))
        rows.append(row("kernel", key, cold_ns))
        if number % 2:
            rows.append(row(RESIDENT, key, int(cold_ns * random.uniform(0.3, 1))))
    return Table(fingerprint, rows)


def row(kind: str, key: str, latency_ns: int) -> Measurement:
    return Measurement(subject_kind=kind, subject_key=key, label="", samples_ns=[latency_ns])


def composed_ms(spaces: tuple[LoweredSpace, ...], table: Table, code: list[int]) -> float:
    space, choices = (spaces[code[0]], code[1:]) if len(spaces) > 1 else (spaces[0], code)
    return compose(table, space.kernels(choices)).total_ns / 1e6


def random_codes(dense: DenseTable, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, dense.choices, (n, len(dense.choices)))


def test_spaces_are_what_the_tests_think():
    assert {layout for by in MOBILE.positions[1] for layout in by} == {"own"}
    assert {layout for by in SHUFFLED.positions[1] for layout in by} == {"own", "plain"}


@pytest.mark.parametrize("name", SPACES)
@how(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cache_kib=st.sampled_from(CACHES_KIB), threads=st.integers(1, 3))
def test_latencies_are_those_of_composed_kernels(name: str, seed: int, cache_kib: int | None, threads: int) -> None:
    spaces = SPACES[name]
    table = table_of(spaces, cache_kib, seed)
    dense = DenseTable(spaces, table)
    codes = random_codes(dense, 10, seed)
    expected = [composed_ms(spaces, table, code) for code in codes.tolist()]
    np.testing.assert_allclose(dense.latencies_ms(codes, threads=threads), expected, rtol=2e-6)


def test_caches_divide_the_networks() -> None:
    """Some are mixed, some are not: otherwise the test above would not see the mixing."""
    dense = DenseTable(MOBILE, table_of((MOBILE,), 128))
    assert dense.common_cold_share is None
    assert DenseTable(MOBILE, table_of((MOBILE,), 16)).common_cold_share == 1.0
    assert DenseTable(MOBILE, table_of((MOBILE,), 1 << 20)).common_cold_share == 0.0


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_matrix_and_fixed_part_add_up(share: float) -> None:
    table = table_of((MOBILE,), None)
    dense = DenseTable(MOBILE, table)
    matrix, fixed_ns = dense.cost_matrix(share), dense.fixed_ns(share)
    assert matrix.shape == (3, 5)
    assert np.isnan(matrix[0, 2:]).all()
    code = [1, 4, 0]
    answers = [table.lookup(kernel.key, cold_share=share).latency_ns for kernel in MOBILE.kernels(code)]
    assert matrix[range(3), code].sum() + fixed_ns == pytest.approx(sum(answers) + 1500)


def test_there_is_no_matrix_where_choices_depend_on_choices() -> None:
    for spaces in (SPACES["shuffled"], SPACES["sizes"]):
        dense = DenseTable(spaces, table_of(spaces, None))
        with pytest.raises(NotSupportedError, match="depends on the layout"):
            dense.cost_matrix()


@pytest.mark.parametrize("name", ["mobile", "shuffled"])
def test_kernels_without_a_row(name: str) -> None:
    spaces = SPACES[name]
    (space,) = spaces
    absent = sorted({kernel.key for kernel in space.kernels([0, 0, 0])} - {k.key for k in space.kernels([1, 1, 1])})[0]
    table = table_of(spaces, 128, without=frozenset({absent}))
    dense = DenseTable(space, table)
    assert dense.missing == (absent,)
    codes = np.array([[1, 1, 1], [0, 0, 0], [1, 2, 1]])
    assert dense.latencies_ms(codes[[0, 0]])[0] == pytest.approx(composed_ms(spaces, table, [1, 1, 1]), rel=2e-6)
    known = [absent not in {kernel.key for kernel in space.kernels(code)} for code in codes.tolist()]
    assert known[:2] == [True, False]
    np.testing.assert_array_equal(~np.isnan(dense.latencies_ms(codes, allow_missing=True)), known)
    with pytest.raises(NotCoveredError, match="the first of them number 1") as caught:
        dense.latencies_ms(codes)
    assert caught.value.missing == (absent,)


def test_missing_everywhere() -> None:
    dense = DenseTable(MOBILE, table_of((MOBILE,), 128, without=frozenset(MOBILE.distinct)))
    assert set(dense.missing) == set(MOBILE.distinct)
    assert np.isnan(dense.latencies_ms([[0, 0, 0]], allow_missing=True)).all()


@pytest.mark.parametrize("cache_kib", [None, 64, 1 << 20])
def test_kernels_between_rows_are_interpolated(cache_kib: int | None) -> None:
    blocks = tuple(bottleneck(24, 3, ratio) for ratio in (2, 3, 4, 5, 6, 7, 8))
    first = tuple(bottleneck(24, 3, ratio) for ratio in (3, 6))
    image = TensorType((1, 3, 32, 32))
    space = lower_blocks(BlockSpace("ratios", image, stem, (first, blocks, blocks), classifier), "native")
    of_five = {kernel.key for block in space.positions[1][3].values() for kernel in block.kernels}
    rows = []
    for key, kernel in space.distinct.items():
        if key not in of_five:
            cold_ns = 500 + kernel.macs / 10 + kernel.bytes_moved / 8
            rows.append(conv_row(kernel, cold_ns))
            rows.append(conv_row(kernel, 0.6 * cold_ns, subject_kind=RESIDENT))
    table = Table(table_of((space,), cache_kib).fingerprint, rows)
    assert set(DenseTable(space, table).missing) == of_five
    dense = DenseTable(space, table, interpolate=True)
    assert dense.missing == ()
    codes = [[0, 3, 3], [1, 3, 0], [0, 6, 2]]
    expected_ms = [compose(table, space.kernels(code), interpolate=True).total_ns / 1e6 for code in codes]
    np.testing.assert_allclose(dense.latencies_ms(codes), expected_ms, rtol=2e-6)


def test_any_integers_in_any_order_and_from_torch() -> None:
    dense = DenseTable(MOBILE, table_of((MOBILE,), 128))
    codes = random_codes(dense, 100, 1)
    expected = dense.latencies_ms(codes)
    for dtype in (np.uint8, np.int8, np.int16, np.uint32, np.uint64):
        typed = codes.astype(dtype)
        np.testing.assert_array_equal(dense.latencies_ms(typed), expected)
        np.testing.assert_array_equal(dense.latencies_ms(np.asfortranarray(typed)), expected)
        np.testing.assert_array_equal(dense.latencies_ms(typed[::-1])[::-1], expected)
        np.testing.assert_array_equal(dense.latencies_ms(np.repeat(typed, 3, axis=1)[:, ::3]), expected)
    np.testing.assert_array_equal(dense.latencies_ms(codes.tolist()), expected)
    assert dense.latencies_ms(codes[:0]).shape == (0,)
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: learn)")
    np.testing.assert_array_equal(dense.latencies_ms(torch.from_numpy(codes)), expected)
    np.testing.assert_array_equal(dense.latencies_ms(torch.from_numpy(codes.astype(np.uint8).T.copy()).T), expected)


def test_instruction_sets_give_the_same_bits() -> None:
    from lutra.luts import _native

    table = table_of(SPACES["shuffled"], 128)
    codes = random_codes(DenseTable(SHUFFLED, table), 1000, 2)
    results = [DenseTable(SHUFFLED, table, isa=isa).latencies_ms(codes) for isa in _native.available_isas()]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("wrong", [-1, 5, 255])
def test_choices_that_there_are_not(name: str, wrong: int) -> None:
    dense = DenseTable(SPACES[name], table_of(SPACES[name], None))
    codes = np.zeros((50, len(dense.choices)), np.int64)
    codes[20, -1] = wrong
    with pytest.raises(UsageError, match=f"architecture 20 has choice {wrong} at position {len(dense.choices) - 1}"):
        dense.latencies_ms(codes)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([0, 1, 2], r"shape \[3\]"),
        ([[0, 1]], r"shape \[1, 2\]"),
        ([[0.0, 1.0, 2.0]], "codes are float64"),
        ([["a", "b", "c"]], "codes are <U1"),
        ([[True, False, True]], "codes are bool"),
        (np.zeros((2, 3), ">i4"), "codes are >i4"),
    ],
)
def test_codes_of_another_form(codes: object, message: str) -> None:
    dense = DenseTable(MOBILE, table_of((MOBILE,), None))
    with pytest.raises(UsageError, match=message):
        dense.latencies_ms(codes)


class OnAnotherDevice:
    """As tensors that are not on the CPU answer."""

    def __dlpack__(self, **_: object) -> None:
        raise BufferError("the data is on a GPU")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


def test_what_else_is_refused() -> None:
    table = table_of((MOBILE,), None)
    dense = DenseTable(MOBILE, table)
    with pytest.raises(UsageError, match="bring them to the CPU"):
        dense.latencies_ms(OnAnotherDevice())
    with pytest.raises(UsageError, match="0 threads"):
        dense.latencies_ms([[0, 0, 0]], threads=0)
    with pytest.raises(UsageError, match="space 1 has other decisions"):
        DenseTable((MOBILE, SHUFFLED), table)
    with pytest.raises(UsageError, match="there is no space"):
        DenseTable((), table)
    with pytest.raises(UnknownNameError, match="'mmx'"):
        DenseTable(MOBILE, table, isa="mmx")
