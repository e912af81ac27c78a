"""Where a network finds its weights, and what that means for the sum of its rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.luts import Fingerprint, Measurement, Table
from lutra.luts.compose import compose
from lutra.luts.host import _last_level_cache
from lutra.luts.residency import CACHE_KEY, RESIDENT, RESIDENT_BYTES, cold_share, passing_bytes
from lutra.networks import NetworkBuilder
from lutra.networks.lowering import Kernel, lower
from lutra.profiler.copies import copies_of, has_resident_row, resident_copies_of

MIB = 1 << 20


def linear(width: int, rows: int = 1) -> Kernel:
    """One matrix product with ``width`` squared weights."""
    b = NetworkBuilder("linear")
    network = b.build(b.op("linear", b.input((rows, width)), out_features=width, bias=False))
    (kernel,) = lower(network, "null").kernels
    return kernel


def machine(cache_kib: int | None) -> Fingerprint:
    hardware = {"model": "test"} | ({CACHE_KEY: cache_kib} if cache_kib else {})
    settings = {"precision": "float32", "threads": 1}
    return Fingerprint.of("real", hardware=hardware, runtime={"name": "null"}, settings=settings)


def row(kernel: Kernel, kind: str, latency_ns: int, halfwidth: float | None) -> Measurement:
    return Measurement(
        subject_kind=kind, subject_key=kernel.key, label="", samples_ns=[latency_ns], rel_halfwidth=halfwidth
    )


def test_all_weights_pass_by_and_the_largest_activations():
    small, large = linear(64), linear(256, rows=100)
    weights = 4 * (64 * 64 + 2 * 256 * 256)
    assert passing_bytes([small, large, large]) == weights + 4 * 2 * 100 * 256


@pytest.mark.parametrize(("megabytes", "share"), [(1, 0.0), (3.9, 0.0), (8, 0.5), (16, 1.0), (100, 1.0)])
def test_a_cache_holds_what_is_small(megabytes, share):
    width = int((megabytes * MIB / 4) ** 0.5)
    assert cold_share([linear(width)], machine(16 * 1024)) == pytest.approx(share, abs=0.01)


def test_all_is_cold_where_the_cache_is_not_known():
    assert cold_share([linear(8)], machine(None)) == 1.0


@given(share=st.floats(0, 1))
def test_an_answer_lies_between_its_two_rows(share):
    kernel = linear(512)
    table = Table(machine(16 * 1024), [row(kernel, "kernel", 2000, 0.01), row(kernel, RESIDENT, 1000, 0.03)])
    answer = table.lookup(kernel.key, cold_share=share)
    assert answer.latency_ns == pytest.approx(1000 + 1000 * share)
    assert answer.rel_halfwidth == (0.01 if share == 1 else 0.03)


def test_a_network_is_composed_of_the_rows_that_fit_its_size():
    small, large = linear(512), linear(4096)
    rows = [row(small, "kernel", 2000, 0.01), row(small, RESIDENT, 1000, 0.01), row(large, "kernel", 9000, 0.01)]
    table = Table(machine(16 * 1024), rows)
    assert compose(table, [small]).total_ns == 1000
    assert compose(table, [small, large]).total_ns == 11000


def test_without_its_second_row_a_kernel_keeps_its_first():
    kernel = linear(512)
    table = Table(machine(16 * 1024), [row(kernel, "kernel", 2000, None)])
    assert table.lookup(kernel.key, cold_share=0.0).latency_ns == 2000


@given(width=st.integers(1, 4096))
def test_two_rows_only_where_they_differ(width):
    kernel = linear(width)
    passes = kernel.weight_bytes * resident_copies_of(kernel)
    if has_resident_row(kernel):
        assert passes <= RESIDENT_BYTES < kernel.weight_bytes * copies_of(kernel)
        assert passes > RESIDENT_BYTES / 2


def test_the_largest_cache_counts(tmp_path):
    for index, size in enumerate(("32K", "512K", "16384K", "odd")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert dict(_last_level_cache(tmp_path)) == {CACHE_KEY: 16384}
    assert dict(_last_level_cache(tmp_path / "nothing")) == {}
