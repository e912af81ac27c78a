"""Samples of kernels that are timed in the order of a network.

Each of their samples is one short call, which scatters far more than a run of the whole network does, where the ups
and downs of a hundred calls cancel out. The low quartile of each call would so be luckier than that of the network,
and their sum some percent too small. So the calls of one round are added up before any quantile is taken.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .client import EntrySamples, Samples
from .pooling import PROCESS_COLUMN

_ADDED = ("wall_ns", "cpu_ns")
_FIRST = ("round", "cpu", "start_ns", PROCESS_COLUMN)


def per_round(entry: EntrySamples) -> EntrySamples:
    """The same entry with one sample for each complete round, of as many executions as the round holds.

    Times are added up; of everything else but the moment, the core and the process, the mean is taken, rounded down.
    """
    rounds, first, counts = np.unique(entry.samples["round"], return_index=True, return_counts=True)
    if not len(rounds):
        return entry
    most = int(counts.max())
    first = first[counts == most]
    inside = first[:, None] + np.arange(most)
    columns: dict[str, NDArray[np.int64]] = {}
    for name, values in entry.samples.columns.items():
        if name in _FIRST:
            columns[name] = values[first]
        else:
            total = values[inside].sum(axis=1)
            columns[name] = total if name in _ADDED else total // most
    return replace(entry, samples=Samples(entry.samples.batch * most, columns))
