"""The timing core as Python sees it: conversion of arguments and results, signals, progress, cancelling."""

import math
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.profiler import _native

FINITE = st.floats(-1e12, 1e12)


def measure_null(durations_ns, *, jitter=0.0, **options):
    """Measures null entries on a fake clock: exact and instant."""
    clock = _native.FakeClock()
    entries = [
        _native.NullRunnable(clock, duration, jitter=jitter, seed=index) for index, duration in enumerate(durations_ns)
    ]
    return _native.measure_interleaved(entries, seed=1, clock=clock, **options)


def test_null_entries_come_back_exactly():
    measured = measure_null([1_000_000, 40_000_000], min_rounds=4, max_rounds=9, samples_per_visit=2)

    assert [entry.samples.batch for entry in measured.entries] == [1, 1]
    for entry, duration in zip(measured.entries, [1_000_000, 40_000_000], strict=True):
        samples = entry.samples
        assert entry.converged
        assert entry.error is None
        assert entry.halfwidth == 0.0
        assert len(samples) == 8
        np.testing.assert_array_equal(samples.wall_ns, duration)
        np.testing.assert_array_equal(samples.cpu_ns, duration)
        np.testing.assert_array_equal(samples.round, np.repeat(np.arange(4), 2))
        for column in ("start_ns", "cpu", "involuntary_switches", "minor_faults"):
            values = getattr(samples, column)
            assert values.dtype == np.int64
            assert values.shape == (8,)
    assert measured.rounds == 4
    assert not measured.interrupted
    assert not measured.out_of_time


def test_quick_entries_are_batched():
    measured = measure_null([100], min_rounds=2, max_rounds=2, min_sample_ns=50_000)
    samples = measured.entries[0].samples
    assert samples.batch == 500
    np.testing.assert_array_equal(samples.wall_ns / samples.batch, 100.0)


def test_the_same_seeds_give_the_same_samples():
    first, second = (measure_null([10_000_000, 3_000_000], jitter=0.3) for _ in range(2))
    for one, other in zip(first.entries, second.entries, strict=True):
        np.testing.assert_array_equal(one.samples.wall_ns, other.samples.wall_ns)
        np.testing.assert_array_equal(one.samples.start_ns, other.samples.start_ns)
        assert one.samples.wall_ns.std() > 0


def test_references_cover_every_round():
    measured = measure_null([50_000_000] * 4, min_rounds=3, max_rounds=3, reference_interval_s=0.1)
    for series, duration in [(measured.compute_reference, 100_000), (measured.memory_reference, 1_000_000)]:
        assert set(series.round) == {0, 1, 2}
        np.testing.assert_array_equal(series.wall_ns, duration)
        assert np.diff(series.start_ns).max() <= 260_000_000  # the interval and one entry's visit of 150 ms


def test_a_callable_is_timed_without_what_comes_before_it():
    calls = []
    entry = _native.CallableRunnable(lambda: calls.append("run"), lambda: calls.append("before"))
    measured = _native.measure_interleaved(
        [entry], seed=1, min_rounds=2, max_rounds=2, samples_per_visit=2, warmup_runs=1, sequences=[[0]]
    )
    assert calls == ["before", "run"] * 5
    assert measured.entries[0].samples.batch == 1
    assert len(measured.entries[0].samples) == 4


def test_what_a_callable_raises_is_the_reason_of_its_entry():
    def broken():
        raise ValueError("no such thing")

    measured = _native.measure_interleaved([_native.CallableRunnable(broken)], seed=1, min_rounds=2, max_rounds=2)
    assert "ValueError: no such thing" in measured.entries[0].error


@pytest.mark.parametrize("sequences", [[[]], [[1]], [[0], [0]]])
def test_impossible_sequences_are_refused(sequences):
    with pytest.raises(ValueError, match="sequence"):
        measure_null([1_000_000], sequences=sequences)


def test_entries_of_every_round_go_on_after_they_converged():
    clock = _native.FakeClock()
    steady = [_native.NullRunnable(clock, 10_000_000) for _ in range(2)]
    noisy = _native.NullRunnable(clock, 10_000_000, jitter=2.0, seed=4)
    measured = _native.measure_interleaved(
        [*steady, noisy], seed=1, min_rounds=3, max_rounds=12, samples_per_visit=1, every_round=[1], clock=clock
    )
    assert [len(entry.samples) for entry in measured.entries] == [3, 12, 12]
    assert [entry.converged for entry in measured.entries] == [True, True, False]


def test_results_outlive_the_measurement():
    samples = measure_null([1_000_000], min_rounds=2, max_rounds=2).entries[0].samples
    wall_ns = samples.wall_ns
    del samples
    np.testing.assert_array_equal(wall_ns, 1_000_000)


def test_a_real_measurement_has_plausible_samples():
    entries = [_native.ComputeReference(), _native.MemoryReference()]
    measured = _native.measure_interleaved(
        entries, seed=3, min_rounds=3, max_rounds=3, samples_per_visit=2, metric="cpu"
    )
    for entry in measured.entries:
        samples = entry.samples
        assert len(samples) == 6
        assert (samples.wall_ns > 0).all()
        assert (samples.cpu_ns > 0).all()
        assert (np.diff(samples.start_ns) > 0).all()
    assert measured.clock.resolution_ns >= 1
    assert measured.clock.min_sample_ns >= 1000 * measured.clock.resolution_ns
    assert measured.elapsed_s > 0


def test_progress_counts_and_may_cancel():
    cancel = _native.CancelFlag()
    calls = []

    def progress(converged, entries, current, rounds, seconds):
        assert current in range(entries)
        calls.append((converged, entries, rounds, seconds))
        if len(calls) == 30:
            cancel.set()

    measured = measure_null([50_000_000] * 3, max_rounds=1000, target_halfwidth=0.0, progress=progress, cancel=cancel)
    assert measured.interrupted
    assert cancel.is_set()
    assert len(calls) == 30
    assert all(entries == 3 and converged == 0 for converged, entries, _, _ in calls)
    assert np.diff([seconds for *_, seconds in calls]).min() >= 0.2
    assert 0 < len(measured.entries[0].samples) < 3000


def test_what_progress_raises_ends_the_measurement():
    def progress(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        measure_null([50_000_000], max_rounds=1000, target_halfwidth=0.0, progress=progress)


def test_another_thread_may_cancel_a_real_measurement():
    cancel = _native.CancelFlag()
    started = threading.Event()

    def stop_once_started():
        started.wait()
        cancel.set()

    thread = threading.Thread(target=stop_once_started)
    thread.start()
    measured = _native.measure_interleaved(
        [_native.MemoryReference()],
        seed=0,
        max_rounds=2**30,
        target_halfwidth=0.0,
        time_budget_s=120.0,
        progress=lambda *_: started.set(),
        cancel=cancel,
    )
    thread.join()
    assert measured.interrupted
    assert len(measured.entries[0].samples) > 0


def test_a_signal_handler_runs_during_a_measurement():
    cancel = _native.CancelFlag()
    previous = signal.signal(signal.SIGALRM, lambda *_: cancel.set())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        measured = _native.measure_interleaved(
            [_native.ComputeReference()],
            seed=0,
            max_rounds=2**30,
            target_halfwidth=0.0,
            time_budget_s=120.0,
            cancel=cancel,
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
    assert measured.interrupted


@pytest.mark.parametrize(
    "options",
    [
        {"min_rounds": 0},
        {"min_rounds": 5, "max_rounds": 4},
        {"samples_per_visit": 0},
        {"warmup_runs": 0},
        {"time_budget_s": 0.0},
        {"time_budget_s": math.nan},
        {"target_halfwidth": -1.0},
        {"reference_interval_s": 0.0},
        {"metric": "steps"},
        {"every_round": [1]},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r".+"):
        measure_null([1_000_000], **options)


def test_entries_must_be_runnable():
    with pytest.raises(TypeError):
        _native.measure_interleaved([None], seed=0)
    with pytest.raises(TypeError):
        _native.measure_interleaved([object()], seed=0)


def test_runnable_has_no_constructor():
    with pytest.raises(TypeError):
        _native.Runnable()


@given(st.lists(FINITE, min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_quantile_agrees_with_numpy(values, q):
    expected = float(np.quantile(values, q))
    assert _native.quantile(values, q) == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(st.lists(FINITE, max_size=60))
def test_summary_is_ordered_and_counts_everything(values):
    summary = _native.summarize(values)
    outliers = summary.outliers
    assert summary.count == len(values)
    assert len(values) == (
        outliers.low_severe + outliers.low_mild + outliers.inside + outliers.high_mild + outliers.high_severe
    )
    figures = [summary.min, summary.p10, summary.p25, summary.median, summary.p75, summary.p90, summary.max]
    if values:
        assert figures == sorted(figures)
    else:
        assert all(math.isnan(figure) for figure in figures)


@given(st.lists(st.tuples(st.floats(1.0, 2.0), st.integers(0, 5)), min_size=1, max_size=40), st.integers(0, 99))
def test_bootstrap_interval_lies_within_the_values(pairs, seed):
    values, rounds = zip(*pairs, strict=True)
    interval = _native.bootstrap_interval(values, rounds, resamples=50, seed=seed)
    assert interval.estimate == _native.quantile(values, 0.25)
    if len(set(rounds)) < 2:
        assert math.isnan(interval.low)
        assert math.isnan(interval.relative_halfwidth)
    else:
        assert min(values) <= interval.low <= interval.high <= max(values)
        assert interval.relative_halfwidth == (interval.high - interval.low) / (2 * interval.estimate)


def test_bootstrap_takes_integer_samples_as_measured():
    samples = measure_null([10_000_000], jitter=0.5, min_rounds=6, max_rounds=6).entries[0].samples
    interval = _native.bootstrap_interval(samples.wall_ns, samples.round, q=0.5, confidence=0.9, seed=2)
    assert interval.low < interval.estimate < interval.high
    assert interval.estimate == np.median(samples.wall_ns)


def test_mdape_is_the_relative_median_deviation():
    assert _native.mdape([8.0, 10.0, 13.0]) == pytest.approx(0.2)
    assert math.isnan(_native.mdape([]))


def test_quantiles_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        _native.quantile([1.0], 1.5)
    with pytest.raises(ValueError, match="differ in length"):
        _native.bootstrap_interval([1.0, 2.0], [0])
