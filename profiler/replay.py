"""Why a sum is off: the kernels of one network timed in place, one behind the other, beside their rows.

A row is taken from copies of one kernel run in a row. In the network a kernel runs behind another one, which leaves
caches and code of its own. Replaying the kernels in the network's order, one execution each, shows which rows do not
hold there.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..luts import Table
from ..luts.compose import RUN_CONSTANT
from ..luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ..luts.residency import cold_share
from ..networks.errors import NotCoveredError
from .client import Samples, WorkerClient
from .plan import Subject
from .references import Nominal, fit_normalisation, with_references
from .rows import metric_for
from .session import CONSTANT, KERNEL, entry_name

_PASSES = 5
_ROUNDS = 6
_CALLS_EVERY = 4  # kernels between two looks at what a call costs here


@dataclass(frozen=True)
class InPlace:
    """One kernel of a network, as its row has it and as it is in place.

    Attributes:
        label: what people see.
        count: how often the network runs it.
        row_us: the table's latency of one execution.
        in_place_us: of one execution behind the network's other kernels, less what a call costs there.
    """

    label: str
    count: int
    row_us: float
    in_place_us: float

    @property
    def missing_us(self) -> float:
        """What the network takes for this kernel beyond what the table adds up."""
        return self.count * (self.in_place_us - self.row_us)


def replay(subject: Subject, table: Table, *, seed: int = 0) -> tuple[InPlace, ...]:
    """Time the kernels of ``subject`` in their order in the network, on the device of ``table``.

    Takes about 30 times as long as the network. Every kernel has one copy here: between two of its executions all
    other weights of the network pass by.

    Returns:
        One entry a distinct kernel, those with the largest `InPlace.missing_us` (either way) first.

    Raises:
        NotCoveredError: the table lacks a row of the network.
        MeasurementError: a kernel cannot be run.
    """
    kernels = subject.lowered.distinct
    share = cold_share(subject.lowered.kernels, table.fingerprint)
    rows = {key: table.lookup(key, cold_share=share) for key in kernels}
    if missing := [kernels[key].label for key, row in rows.items() if not row.covered]:
        raise NotCoveredError(f"the table lacks {len(missing)} kernels of {subject.network.name}", missing)
    in_place_ns = _in_place_ns(subject, table, seed)
    counts = Counter(kernel.key for kernel in subject.lowered.kernels)
    compared = (
        InPlace(kernels[key].label, counts[key], (row.latency_ns or 0.0) / 1e3, in_place_ns[key] / 1e3)
        for key, row in rows.items()
    )
    return tuple(sorted(compared, key=lambda entry: -abs(entry.missing_us)))


def _in_place_ns(subject: Subject, table: Table, seed: int) -> dict[str, float]:
    """Latency of each distinct kernel in place, without the runtime's constants, in ns."""
    fingerprint = table.fingerprint
    metric = metric_for(fingerprint.threads)
    with WorkerClient(fingerprint.runtime_name, fingerprint.threads, fingerprint.precision) as worker:
        described = {o["name"]: o for o in worker.prepare_overheads()}
        prepared = {
            key: worker.prepare(entry_name(KERNEL, key), kernel, 1, seed)
            for key, kernel in subject.lowered.distinct.items()
        }
        names = [entry_name(KERNEL, key) for key in prepared]
        call = entry_name(CONSTANT, RUN_CONSTANT)
        if RUN_CONSTANT in described:
            names.append(call)
        sequence: list[int] = []
        for i, kernel in enumerate(subject.lowered.kernels):
            sequence.append(names.index(entry_name(KERNEL, kernel.key)))
            if call in names and i % _CALLS_EVERY == 0:
                sequence.append(names.index(call))
        options: dict[str, Any] = {
            "min_rounds": _ROUNDS,
            "max_rounds": _ROUNDS,
            "samples_per_visit": _PASSES,
            "metric": metric,
            "seed": seed,
            "sequences": [sequence],
        }
        result = with_references(worker.measure(names, options, lambda _: None))
    nominal = _nominal(table)
    intensity = {key: kernel.macs / max(kernel.bytes_moved, 1) for key, kernel in subject.lowered.distinct.items()}
    quartile = {
        name: _quartile_ns(entry.samples, f"{metric}_ns", nominal, intensity.get(name.partition(" ")[2]))
        for name, entry in result.entries.items()
    }
    # A call that finds the runtime's own code and data cold costs more than the constant, which was taken warm.
    call_ns = quartile[call] - _base_ns(described[RUN_CONSTANT]["base"], table) if call in quartile else 0.0
    in_place = {}
    for key, info in prepared.items():
        constants = {name: count for name, count in info.overheads.items() if name != RUN_CONSTANT}
        overhead_ns = call_ns + sum(count * _constant_ns(name, table) for name, count in constants.items())
        in_place[key] = max(quartile[entry_name(KERNEL, key)] - overhead_ns, 0.0)
    return in_place


def _nominal(table: Table) -> Nominal | None:
    """The speed that the table's rows are given at; None in a table without references."""
    compute, memory = (table.constant(name) for name in (COMPUTE_REFERENCE, MEMORY_REFERENCE))
    if compute.latency_ns is None or memory.latency_ns is None:
        return None
    return Nominal(compute.latency_ns, memory.latency_ns)


def _quartile_ns(samples: Samples, column: str, nominal: Nominal | None, macs_per_byte: float | None) -> float:
    """p25 of one call, at the table's nominal speed."""
    normalisation = fit_normalisation(samples, column, nominal, macs_per_byte) if nominal else None
    factors = normalisation.factors if normalisation else 1.0
    return float(np.quantile(samples[column] / factors, 0.25)) / samples.batch


def _base_ns(base: str | None, table: Table) -> float:
    return _constant_ns(base, table) if base else 0.0


def _constant_ns(name: str, table: Table) -> float:
    return table.constant(name).latency_ns or 0.0
