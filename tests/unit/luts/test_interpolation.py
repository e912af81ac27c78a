"""What a table says about kernels without a row."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import Interpolator, Measurement, Table
from lutra.luts.compose import compose
from lutra.luts.families import FamilyModel
from lutra.luts.features import shape_of
from lutra.luts.interpolation import kernel_of
from lutra.luts.testing import conv_ns, conv_row, make_conv, make_fingerprint, make_measurement
from lutra.networks.errors import CorruptModelError
from lutra.networks.lowering import Kernel

CHANNELS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192)
IMAGES = (7, 14, 28, 56)
GRID = [make_conv(c, d, s) for c in CHANNELS for d in (16, 32, 64, 128, 192) for s in IMAGES]


def table_of(rows: Iterable[Measurement]) -> Table:
    return Table(make_fingerprint(), rows)


def sparse(step: int = 3) -> Table:
    """Rows of some of the grid, its corners among them."""
    corners = [
        kernel for kernel in GRID if {kernel.inputs[0][1].shape[1], kernel.outputs[0][1].shape[1]} <= {8, 16, 192}
    ]
    return table_of(conv_row(kernel) for kernel in {k.key: k for k in [*corners, *GRID[::step]]}.values())


def error_of(latency_ns: float | None, kernel: Kernel) -> float:
    assert latency_ns is not None
    return abs(math.log(latency_ns / conv_ns(kernel)))


def test_rows_are_answered_as_they_are() -> None:
    table = sparse()
    answers = table.interpolator.answers(GRID[::3])
    assert answers == [table.lookup(kernel.key) for kernel in GRID[::3]]
    assert {answer.source for answer in answers} == {"measured"}


def test_kernels_between_rows_are_interpolated() -> None:
    table = sparse()
    asked = [kernel for kernel in GRID if not table.lookup(kernel.key).covered]
    answers = table.interpolator.answers(asked)
    assert {answer.source for answer in answers} == {"interpolated"}
    errors = [error_of(answer.latency_ns, kernel) for answer, kernel in zip(answers, asked, strict=True)]
    assert np.median(errors) < 0.02
    assert np.quantile(errors, 0.9) < 0.06
    for answer in answers:
        assert answer.row is None
        assert answer.rel_halfwidth is not None
        assert 0 < answer.rel_halfwidth < 0.3
        assert len(answer.nearest) == 3
        assert all(table.get("kernel", near.key) is not None for near in answer.nearest)


def test_beyond_the_rows_it_is_extrapolated_and_less_sure() -> None:
    interpolator = Interpolator(sparse(), max_halfwidth=10)
    inside, outside, far = interpolator.answers([make_conv(80, 64, 28), make_conv(256, 64, 28), make_conv(999, 64, 28)])
    assert (inside.source, outside.source, far.source) == ("interpolated", "extrapolated", "extrapolated")
    assert inside.rel_halfwidth is not None
    assert outside.rel_halfwidth is not None
    assert far.rel_halfwidth is not None
    assert inside.rel_halfwidth < outside.rel_halfwidth < far.rel_halfwidth


def test_a_size_that_never_differed_is_beyond_the_rows() -> None:
    answer = Interpolator(sparse(), max_halfwidth=10).answer(make_conv(64, 64, 28, batch=4))
    assert answer.source == "extrapolated"


def test_what_is_too_unsure_is_not_covered_and_names_its_like() -> None:
    answer = Interpolator(sparse(), max_halfwidth=0.001).answer(make_conv(80, 64, 28))
    assert answer.source == "not covered"
    assert answer.latency_ns is None
    assert answer.nearest[0].label.endswith("@28")


def test_a_kind_with_few_rows_leans_on_its_family_and_is_less_sure() -> None:
    activated = [make_conv(c, 64, 28, activation="Relu") for c in (16, 96)]
    table = table_of([*sparse(), *map(conv_row, activated)])
    interpolator = Interpolator(table, max_halfwidth=10)
    own, other, strange = interpolator.answers(
        [make_conv(80, 64, 28), make_conv(80, 64, 28, activation="Relu"), make_conv(80, 64, 28, activation="Elu")]
    )
    assert own.rel_halfwidth is not None
    assert other.rel_halfwidth is not None
    assert strange.rel_halfwidth is not None
    assert own.rel_halfwidth < other.rel_halfwidth < strange.rel_halfwidth
    assert error_of(other.latency_ns, make_conv(80, 64, 28, activation="Relu")) < 0.05


def test_an_unknown_family_is_not_covered_and_names_what_is_most_like_it() -> None:
    kernel = make_conv(64, 64, 28)
    pool = replace(kernel, nodes=(replace(kernel.nodes[0], op="Pool", inputs=("x",)),), constants=())
    two = replace(kernel, nodes=(*kernel.nodes, replace(kernel.nodes[0], op="Pool", inputs=("y",), outputs=("z",))))
    for strange in (pool, two):
        answer = sparse(1).interpolator.answer(strange)
        assert answer.source == "not covered"
        assert answer.nearest[0].label == "Conv 1x1 64->64 @28"


def test_two_rows_of_a_family_say_nothing_of_a_third() -> None:
    rows = [conv_row(make_conv(c, 64, 28)) for c in (16, 32)]
    answer = table_of(rows).interpolator.answer(make_conv(24, 64, 28))
    assert answer.source == "not covered"
    assert {near.label for near in answer.nearest} == {row.label for row in rows}


def test_an_empty_table_covers_nothing() -> None:
    answer = Interpolator.fit(table_of([])).answer(make_conv(8, 8, 8))
    assert (answer.source, answer.nearest) == ("not covered", ())


def test_what_could_not_be_measured_is_not_guessed() -> None:
    kernel = make_conv(80, 64, 28)
    failed = conv_row(kernel, status="failed", reason="it crashed", samples_ns=[], rel_halfwidth=None)
    answer = table_of([*sparse(), failed]).interpolator.answer(kernel)
    assert answer.source == "not covered"
    assert answer.row == failed


def test_the_order_of_rows_and_of_questions_does_not_matter() -> None:
    rows = list(sparse())
    asked = [kernel for kernel in GRID if kernel.key not in {row.subject_key for row in rows}][:40]
    answers = table_of(rows).interpolator.answers(asked)
    mixed = table_of(rows[::-1]).interpolator
    assert mixed.answers(asked[::-1])[::-1] == answers
    assert [mixed.answer(kernel).latency_ns for kernel in asked[:3]] == pytest.approx(
        [answer.latency_ns for answer in answers[:3]]
    )


def test_rows_that_do_not_say_their_kernel_are_passed_over() -> None:
    imported = make_measurement("elsewhere", spec={"macs": 5})
    answer = table_of([*sparse(), imported]).interpolator.answer(make_conv(80, 64, 28))
    assert answer.source == "interpolated"
    assert kernel_of(imported) is None


def test_a_damaged_kernel_is_an_error() -> None:
    with pytest.raises(CorruptModelError):
        Interpolator(table_of([make_measurement("bad", spec={"nodes": [{"op": "Conv"}]})]))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(CHANNELS), st.integers(8, 192), st.integers(7, 56), st.integers(0, 2**16))
def test_estimates_lie_between_smaller_and_larger_rows(given_in: int, given_out: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = [GRID[number] for number in rng.choice(len(GRID), 40, replace=False)]
    rows = [conv_row(kernel) for kernel in known]
    kernel = make_conv(given_in, given_out, size)
    latency_ns = Interpolator(table_of(rows), max_halfwidth=1e9).answer(kernel).latency_ns
    assert latency_ns is not None
    sizes = np.array(shape_of(kernel).sizes)
    for row, other in zip(rows, known, strict=True):
        others = np.array(shape_of(other).sizes)
        if (others <= sizes).all():
            assert latency_ns >= row.latency_ns * 0.9
        if (others >= sizes).all():
            assert latency_ns <= row.latency_ns * 1.1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**16))
def test_what_grows_only_grows(seed: int) -> None:
    """Without steps, a kernel that is larger by a quarter is never said to be faster."""
    rng = np.random.default_rng(seed)
    known = [GRID[number] for number in rng.choice(len(GRID), 40, replace=False)]
    rows = [conv_row(kernel, 1000 + kernel.macs / 12 + kernel.bytes_moved / 6) for kernel in known]
    interpolator = Interpolator(table_of(rows), max_halfwidth=1e9)
    ladder = interpolator.answers([make_conv(channels, 64, 28) for channels in (20, 25, 32, 40, 50, 64, 80, 100)])
    latencies = [answer.latency_ns or 0.0 for answer in ladder]
    assert latencies == sorted(latencies)


def test_nine_of_ten_lie_within_their_interval() -> None:
    rng = np.random.default_rng(5)
    kernels = [
        make_conv(int(c), int(d), int(s))
        for c, d, s in zip(*(rng.integers(6, 200, (3, 240)) // [[1], [1], [4]]), strict=True)
    ]
    latencies = [conv_ns(kernel) * math.exp(0.01 * rng.normal()) for kernel in kernels]
    inside, asked = 0, 0
    for part in range(3):
        known = [number for number in range(240) if number % 3 == part]
        rest = [number for number in range(240) if number % 3 != part]
        model = FamilyModel(
            [shape_of(kernels[n]) for n in known], np.log([latencies[n] for n in known]), np.full(len(known), 0.01)
        )
        found = model.predict([shape_of(kernels[n]) for n in rest])
        errors = np.abs(found.log_ns - np.log([latencies[n] for n in rest]))
        inside += int(np.sum(errors < 1.645 * np.hypot(found.deviation, 0.01)))
        asked += len(rest)
    assert 0.84 < inside / asked < 0.97


def test_a_check_tells_the_error_of_rows_left_out() -> None:
    rows = [*sparse(), *(conv_row(replace(make_conv(c, c, 8), runtime="other")) for c in (8, 16))]
    large, small = table_of(rows).interpolator.check()
    assert (large.family, large.kinds, large.rows) == ("Conv", 1, len(rows) - 2)
    assert large.median_error is not None
    assert large.p90_error is not None
    assert large.coverage is not None
    assert 0 < large.median_error < large.p90_error < 0.2
    assert 0.8 < large.coverage <= 1
    assert (small.rows, small.median_error, small.p90_error, small.coverage) == (2, None, None, None)


def both_rows(step: int = 3) -> Table:
    """Rows of the grid, and those of large weights once more: with them in the last cache 20 % faster."""
    rows = []
    for row in sparse(step):
        rows.append(row)
        if row.spec["bytes_moved"] > 40_000:
            kernel = kernel_of(row)
            assert kernel is not None
            rows.append(conv_row(kernel, 0.8 * row.latency_ns, subject_kind="resident"))
    return table_of(rows)


@pytest.mark.parametrize(("cold_share", "factor"), [(1.0, 1.0), (0.5, 0.9), (0.0, 0.8)])
def test_weights_in_the_last_cache_are_interpolated_as_a_ratio(cold_share: float, factor: float) -> None:
    interpolator = both_rows().interpolator
    kernel = make_conv(160, 112, 14)
    cold = interpolator.answer(kernel)
    mixed = interpolator.answer(kernel, cold_share=cold_share)
    assert cold.latency_ns is not None
    assert mixed.latency_ns == pytest.approx(factor * cold.latency_ns, rel=0.01)
    assert mixed.rel_halfwidth is not None
    assert cold.rel_halfwidth is not None
    assert mixed.rel_halfwidth >= cold.rel_halfwidth


def test_kernels_with_smaller_weights_than_any_second_row_have_one_latency() -> None:
    interpolator = both_rows().interpolator
    kernel = make_conv(9, 17, 9)
    assert interpolator.answer(kernel, cold_share=0.0).latency_ns == interpolator.answer(kernel).latency_ns


def test_a_sum_takes_estimates_where_it_is_told_to() -> None:
    table = sparse()
    known, unknown = GRID[0], make_conv(80, 64, 28)
    assert compose(table, [known, unknown, unknown]).missing == (unknown.key,)
    composed = compose(table, [known, unknown, unknown], interpolate=True)
    assert [answer.source for answer in composed.kernels] == ["measured", "interpolated", "interpolated"]
    one = table.interpolator.answer(unknown).latency_ns
    assert one is not None
    assert composed.total_ns == pytest.approx(conv_ns(known) + 2 * one, rel=1e-4)
