"""Samples of one entry from several measurements put together: of several processes, or several groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .client import EntrySamples, GroupResult, Samples

PROCESS_COLUMN = "process"
"""Sample column that tells worker processes apart."""

_DURATIONS = ("wall_ns", "cpu_ns")


def with_process(result: GroupResult, process: int) -> GroupResult:
    """The same result with the worker's number as one more column of every entry."""

    def marked(entry: EntrySamples) -> EntrySamples:
        column = {PROCESS_COLUMN: np.full(len(entry.samples), process, np.int64)}
        return replace(entry, samples=Samples(entry.samples.batch, entry.samples.columns | column))

    return replace(result, entries={name: marked(entry) for name, entry in result.entries.items()})


def pooled_results(parts: Sequence[GroupResult]) -> GroupResult:
    """One result of what several processes measured of the same group; entries that some lack are left out."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in parts[0].entries if all(name in part.entries for part in parts)]
    return GroupResult(
        entries={name: pooled_entries([part.entries[name] for part in parts]) for name in names},
        compute_reference=pooled_samples([part.compute_reference for part in parts]),
        memory_reference=pooled_samples([part.memory_reference for part in parts]),
        rounds=sum(part.rounds for part in parts),
        elapsed_s=sum(part.elapsed_s for part in parts),
        interrupted=any(part.interrupted for part in parts),
        out_of_time=any(part.out_of_time for part in parts),
        clock=parts[0].clock,
        priority=parts[0].priority,
    )


def pooled_entries(parts: Sequence[EntrySamples]) -> EntrySamples:
    """Samples of one entry from several measurements, rounds counted on."""
    errors = [part.error for part in parts if part.error]
    return EntrySamples(
        pooled_samples([part.samples for part in parts]),
        all(part.converged for part in parts),
        errors[0] if errors else None,
        all(part.finite for part in parts),
    )


def pooled_samples(parts: Sequence[Samples]) -> Samples:
    """Samples of several series, brought to the largest batch among them; rounds stay distinct."""
    if len(parts) == 1:
        return parts[0]
    batch = max(part.batch for part in parts)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in parts[0].columns}
    offset = 0
    for part in parts:
        for name, values in part.columns.items():
            columns[name].append(values * batch // part.batch if name in _DURATIONS else values)
        columns["round"][-1] = columns["round"][-1] + offset
        if len(part):
            offset = int(columns["round"][-1].max()) + 1
    return Samples(batch, {name: np.concatenate(values) for name, values in columns.items()})
