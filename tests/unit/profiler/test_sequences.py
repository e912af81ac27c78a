"""Calls of one round added up into one sample."""

import numpy as np

from lutra.profiler.client import EntrySamples, Samples
from lutra.profiler.sequences import per_round


def entry(rounds: list[int], wall_ns: list[int], **columns: list[int]) -> EntrySamples:
    all_columns = {"round": rounds, "wall_ns": wall_ns, "cpu_ns": wall_ns} | columns
    return EntrySamples(Samples(1, {n: np.asarray(v, np.int64) for n, v in all_columns.items()}), True, None, True)


def test_times_are_added_up_and_the_batch_says_how_many() -> None:
    samples = per_round(entry([0, 0, 0, 2, 2, 2], [1, 2, 3, 10, 20, 30])).samples
    assert samples.batch == 3
    assert samples["wall_ns"].tolist() == samples["cpu_ns"].tolist() == [6, 60]
    assert samples["round"].tolist() == [0, 2]


def test_a_round_that_was_cut_short_is_left_out() -> None:
    samples = per_round(entry([0, 0, 1, 1, 2], [1, 2, 3, 4, 5])).samples
    assert samples["round"].tolist() == [0, 1]


def test_counts_are_means_and_the_moment_is_the_first() -> None:
    samples = per_round(entry([0, 0], [1, 1], minor_faults=[0, 5], start_ns=[70, 90])).samples
    assert samples["minor_faults"].tolist() == [2]
    assert samples["start_ns"].tolist() == [70]


def test_without_samples_nothing_changes() -> None:
    nothing = entry([], [])
    assert per_round(nothing) is nothing
