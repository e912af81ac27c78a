"""Samples from several processes and groups, put together."""

import numpy as np

from lutra.profiler.client import EntrySamples, GroupResult, Samples
from lutra.profiler.pooling import PROCESS_COLUMN, pooled_entries, pooled_results, pooled_samples, with_process


def samples(values: list[int], rounds: list[int], batch: int = 1) -> Samples:
    columns = {"wall_ns": values, "cpu_ns": values, "round": rounds, "minor_faults": [7] * len(values)}
    return Samples(batch, {name: np.array(column, np.int64) for name, column in columns.items()})


def result(entries: dict[str, Samples], *, interrupted: bool = False) -> GroupResult:
    made = {name: EntrySamples(series, True, None, True) for name, series in entries.items()}
    reference = samples([100], [0])
    return GroupResult(made, reference, reference, 2, 1.5, interrupted, False, {"min_sample_ns": 1}, "fifo")


def test_rounds_stay_distinct_and_batches_are_brought_together() -> None:
    joined = pooled_samples([samples([100, 110], [0, 1], batch=2), samples([300], [0], batch=6)])
    assert joined.batch == 6
    assert joined["cpu_ns"].tolist() == [300, 330, 300]
    assert joined["round"].tolist() == [0, 1, 2]
    assert joined["minor_faults"].tolist() == [7, 7, 7]


def test_an_empty_part_adds_nothing() -> None:
    assert len(pooled_samples([samples([], []), samples([5], [3])])) == 1


def test_an_error_or_nonsense_in_one_part_stays_visible() -> None:
    good, bad = samples([5], [0]), samples([6], [0])
    joined = pooled_entries([EntrySamples(good, True, None, True), EntrySamples(bad, False, "gone", False)])
    assert (joined.converged, joined.error, joined.finite) == (False, "gone", False)


def test_processes_are_told_apart_and_lost_entries_left_out() -> None:
    first = with_process(result({"kernel a": samples([1, 2], [0, 1]), "kernel b": samples([9], [0])}), 11)
    second = with_process(result({"kernel a": samples([3], [0])}, interrupted=True), 12)
    pooled = pooled_results([first, second])
    assert list(pooled.entries) == ["kernel a"]
    assert pooled.entries["kernel a"].samples[PROCESS_COLUMN].tolist() == [11, 11, 12]
    assert (pooled.rounds, pooled.elapsed_s, pooled.interrupted, pooled.priority) == (4, 3.0, True, "fifo")
    assert len(pooled.compute_reference) == 2


def test_the_time_inside_samples_counts_references_too() -> None:
    assert result({"kernel a": samples([10, 20], [0, 1])}).sampled_s == (10 + 20 + 100 + 100) / 1e9
