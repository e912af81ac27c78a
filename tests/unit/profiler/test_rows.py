"""Rows made of samples: what is subtracted, and which doubts are noted."""

from dataclasses import replace

import numpy as np
import pytest

from lutra.luts import Measurement, QualityFlag
from lutra.profiler.client import EntrySamples, GroupResult, PreparedInfo, Samples
from lutra.profiler.references import COMPUTE_COLUMN, MEMORY_COLUMN, Nominal
from lutra.profiler.rows import Context, failed_row, measured_row, metric_for

QUIET = {"others_share": 0.0, "steal_share": 0.0, "governor": "performance"}


def series(values: list[int], *, batch: int = 1, cpu: list[int] | None = None, **columns: list[int]) -> Samples:
    n = len(values)
    base = {
        "wall_ns": values,
        "cpu_ns": cpu or values,
        "involuntary_switches": [0] * n,
        "minor_faults": [0] * n,
        "round": list(range(n)),
        "start_ns": [0] * n,
    }
    return Samples(batch, {name: np.asarray(column, np.int64) for name, column in (base | columns).items()})


def context(metric: str = "cpu", reference: list[int] | None = None, **conditions: object) -> Context:
    reference_series = series(reference or [100] * 12)
    result = GroupResult({}, reference_series, reference_series, 12, 1.0, False, False, {"min_sample_ns": 100})
    return Context(metric, 0.02, QUIET | conditions, {"lutra": "1"}, result)


def row(samples: Samples, *, where: Context | None = None, **changes: object) -> Measurement:
    entry = replace(EntrySamples(samples, True, None, True), **changes)
    info = PreparedInfo(4, {"run": 1, "shape node": 4})
    constants = {"run": 100.0, "shape node": 25.0}
    return measured_row(("kernel", "k", "Conv"), entry, info, constants, where or context(), {})


def test_constants_are_subtracted_once_per_call_and_the_rest_is_divided_by_all_executions() -> None:
    measured = row(series([10_400] * 12, batch=2))
    assert measured.executions_per_sample == 8
    assert measured.overhead_ns == 400
    assert measured.latency_ns == pytest.approx((10_400 - 400) / 8)
    assert (measured.status, measured.flags) == ("ok", ())


def test_one_thread_is_judged_by_its_own_time_and_more_by_the_clock_on_the_wall() -> None:
    assert (metric_for(1), metric_for(2)) == ("cpu", "wall")
    samples = series([4_200] * 12, cpu=[2_200] * 12)
    assert row(samples, where=context("cpu")).latency_ns == pytest.approx(500)
    assert row(samples, where=context("wall")).latency_ns == pytest.approx(1000)


def test_the_halfwidth_is_relative_to_what_is_left_after_the_overhead() -> None:
    values = [10_000 + 100 * (i % 5) for i in range(400)]
    alone = row(series(values)).rel_halfwidth
    burdened = row(series([value - 9_000 for value in values])).rel_halfwidth
    assert alone == pytest.approx(burdened * (1_000 - 200) / (10_000 - 200), rel=0.15)


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        (QualityFlag.LOAD, {"where": context(others_share=0.5)}),
        (QualityFlag.STEAL, {"where": context(steal_share=0.1)}),
        (QualityFlag.GOVERNOR, {"where": context(governor="powersave")}),
        (QualityFlag.FREQUENCY_DRIFT, {"where": context(reference=[100] * 6 + [150] * 6)}),
        (QualityFlag.WIDE, {"samples": series([10_000, 11_000, 12_000] * 4)}),
        (QualityFlag.PREEMPTED, {"samples": series([10_000] * 12, involuntary_switches=[1] * 12)}),
        (QualityFlag.PAGE_FAULTS, {"samples": series([10_000] * 12, minor_faults=[3] * 12)}),
        (QualityFlag.FEW_SAMPLES, {"samples": series([10_000] * 4)}),
        (QualityFlag.NEAR_CLOCK, {"samples": series([90] * 12)}),
        (QualityFlag.OVERHEAD, {"samples": series([300] * 12)}),
    ],
)
def test_each_doubt_is_noted(flag: QualityFlag, changes: dict[str, object]) -> None:
    samples = changes.pop("samples", series([10_000] * 12))
    assert str(flag) in row(samples, **changes).flags


def test_a_disturbed_or_wide_row_is_noisy_but_keeps_its_number() -> None:
    for measured in (
        row(series([10_000, 12_000, 16_000] * 4)),
        row(series([10_000] * 12), where=context(others_share=0.9)),
    ):
        assert measured.status == "noisy"
        assert measured.latency_ns > 0


def test_nonsense_and_errors_become_failed_rows_without_a_number() -> None:
    nan = row(series([10_000] * 12), finite=False)
    thrown = row(series([10_000] * 12), error="no such node")
    assert (nan.status, nan.n) == ("failed", 0)
    assert "NaN" in nan.reason
    assert (thrown.status, thrown.reason) == ("failed", "no such node")
    assert failed_row("kernel", "k", "Conv", "", {}).reason


def test_preempted_samples_do_not_count_for_wall_time_where_enough_are_left() -> None:
    switches = [1] * 4 + [0] * 8
    calm = row(series([90_000] * 4 + [10_000] * 8, involuntary_switches=switches), where=context("wall"))
    assert calm.n == 8
    assert calm.conditions["left_out"] == 4
    assert "preempted" not in calm.flags
    few = row(series([90_000] * 5 + [10_000] * 7, involuntary_switches=[1] * 5 + [0] * 7), where=context("wall"))
    assert few.n == 12
    assert "preempted" in few.flags


def test_outliers_are_counted_and_kept() -> None:
    measured = row(series([10_000 + i for i in range(30)] + [90_000]))
    assert measured.n == 31
    assert measured.conditions["outliers"] == {"low_severe": 0, "low_mild": 0, "high_mild": 0, "high_severe": 1}


def test_the_interval_covers_how_far_processes_differ() -> None:
    samples = series([10_000] * 20 + [12_000] * 20, process=[1] * 20 + [2] * 20)
    assert row(samples).rel_halfwidth >= 1_000 / 12_000
    assert row(series([10_000] * 40, process=[1] * 20 + [2] * 20)).rel_halfwidth == 0


def test_pressure_counts_as_load() -> None:
    assert "load" in row(series([10_000] * 12), where=context(pressure_share=0.9)).flags


def test_rows_of_a_slow_moment_are_brought_to_the_nominal_speed() -> None:
    slow = np.array([0, 1] * 10)
    samples = series((10_000 + 5_000 * slow).tolist())
    columns = samples.columns | {COMPUTE_COLUMN: 100 + 50 * slow, MEMORY_COLUMN: np.full(20, 1_000)}
    where = replace(context(), nominal=Nominal(100.0, 1_000.0))
    measured = row(Samples(1, columns), where=where)
    assert measured.normalisation.compute_elasticity == pytest.approx(1.0, abs=0.05)
    assert measured.p90_ns == pytest.approx(measured.p10_ns, rel=0.02)
    assert measured.reference_ratio == pytest.approx(1.25)
    assert measured.samples_ns.tolist() == samples["cpu_ns"].tolist()
