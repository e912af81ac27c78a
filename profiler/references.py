"""How fast the machine was around each sample, from the reference kernels timed between the entries.

The clock of a processor, and what its neighbours leave of a shared core, change within fractions of a second. So the
references are visited every `reference_interval_s` of the timing core, and each sample is compared with the visits
around it (`block_times`). One disturbed reference must not spoil a block, hence a low quantile of several.

How far a kernel follows a reference is its elasticity: arithmetic follows the clock in proportion, streams through
memory hardly. It is estimated from the kernel's own samples and shrunk to what its arithmetic intensity suggests
(`fit_normalisation`), because a machine that hardly changed speed says nothing about it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..luts import Normalisation
from .client import EntrySamples, GroupResult, Samples

COMPUTE_COLUMN, MEMORY_COLUMN = "compute_reference_ns", "memory_reference_ns"

_VISITS_AROUND = 2  # on either side of a sample: at most 0.3 s at the core's default interval
_BLOCK_QUANTILE = 0.1
_MEMORY_BOUND, _COMPUTE_BOUND = 0.1, 1.0  # elasticities on the compute reference, of streams and of arithmetic
_BALANCE_MACS_PER_BYTE = 1.0  # intensity half-way between the two
_COMPUTE_SPREAD = 0.2  # standard deviation of elasticities around what the intensity suggests
_MEMORY_SPREAD = 0.2, 0.02  # the same on the memory reference, of streams and of arithmetic, around 0
_LEAST_NOISE = 0.003
_REWEIGHTINGS = 6
_LARGEST_ELASTICITY = 1.5


@dataclass(frozen=True)
class Nominal:
    """Times of the references, in ns, that stand for a device's nominal speed."""

    compute_ns: float
    memory_ns: float


def with_references(result: GroupResult) -> GroupResult:
    """The same result with the references' times around each sample as two more columns of every entry."""
    at_ns = [entry.samples["start_ns"] for entry in result.entries.values()]
    ends = np.cumsum([len(moments) for moments in at_ns])[:-1]
    # All entries at once: they lie between the same visits.
    moments = np.concatenate(at_ns) if at_ns else np.empty(0, np.int64)
    compute, memory = (
        np.split(block_times(reference, moments), ends)
        for reference in (result.compute_reference, result.memory_reference)
    )
    entries = {
        name: _with_columns(entry, {COMPUTE_COLUMN: compute_ns, MEMORY_COLUMN: memory_ns})
        for (name, entry), compute_ns, memory_ns in zip(result.entries.items(), compute, memory, strict=False)
    }
    return replace(result, entries=entries)


def _with_columns(entry: EntrySamples, columns: dict[str, NDArray[np.int64]]) -> EntrySamples:
    return replace(entry, samples=Samples(entry.samples.batch, entry.samples.columns | columns))


def block_times(reference: Samples, at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Time of one execution of a reference around given moments.

    Args:
        reference: its samples, in the order they were taken.
        at_ns: moments, shape [n], on the same origin as the samples' ``start_ns``.

    Returns:
        Shape [n], at least 1: p10 over the two visits before and the two after each moment, in thread-CPU time.
    """
    first, visit_of = _visits(reference)
    time_ns = reference["cpu_ns"] / reference.batch
    after = np.searchsorted(reference["start_ns"][first], at_ns, side="right")
    low = np.clip(after - _VISITS_AROUND, 0, max(len(first) - 1, 0))
    high = np.maximum(np.minimum(after + _VISITS_AROUND, len(first)), low + 1)
    around: dict[tuple[int, int], int] = {}
    for window in {*zip(low.tolist(), high.tolist(), strict=True)}:
        inside = (visit_of >= window[0]) & (visit_of < window[1])
        around[window] = max(1, round(float(np.quantile(time_ns[inside], _BLOCK_QUANTILE))))
    windows = zip(low.tolist(), high.tolist(), strict=True)
    return np.fromiter((around[window] for window in windows), np.int64, len(at_ns))


def _visits(reference: Samples) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index of the first sample of each visit, and the visit of each sample: a gap ends a visit."""
    start_ns = reference["start_ns"]
    gap_ns = np.diff(start_ns) - reference["wall_ns"][:-1]
    is_first = np.concatenate(([True], gap_ns > reference["wall_ns"][:-1]))
    return np.flatnonzero(is_first), np.cumsum(is_first) - 1


def fit_normalisation(
    samples: Samples, column: str, nominal: Nominal, macs_per_byte: float | None
) -> Normalisation | None:
    """The normalisation of an entry's samples.

    Elasticities are the ridge estimate in logarithms, one point a round: the least squares of a sample's time over
    the references' times, with a normal prior around what the arithmetic intensity suggests (its variance against
    that of the residuals). Rounds that a disturbance made an outlier count less (Huber's weights).

    Args:
        samples: with the columns of `with_references`; None comes back without them.
        column: the sample column that counts.
        nominal: what the references are compared with.
        macs_per_byte: arithmetic intensity of the subject; None for work that is neither (a call, a node).
    """
    if COMPUTE_COLUMN not in samples.columns:
        return None
    compute_ns, memory_ns = samples[COMPUTE_COLUMN], samples[MEMORY_COLUMN]
    speed = np.log(np.stack([compute_ns / nominal.compute_ns, memory_ns / nominal.memory_ns], axis=1))
    elasticity = _estimate(*_per_round(speed, np.log(np.maximum(samples[column], 1)), samples["round"]), macs_per_byte)
    return Normalisation(
        compute_ns=compute_ns,
        memory_ns=memory_ns,
        nominal_compute_ns=nominal.compute_ns,
        nominal_memory_ns=nominal.memory_ns,
        compute_elasticity=float(elasticity[0]),
        memory_elasticity=float(elasticity[1]),
    )


def compute_elasticity(macs_per_byte: float | None) -> float:
    """What the arithmetic intensity suggests: 0.1 for streams, 1 for arithmetic, in between by their shares."""
    return _between(_MEMORY_BOUND, _COMPUTE_BOUND, macs_per_byte)


def _between(memory_bound: float, compute_bound: float, macs_per_byte: float | None) -> float:
    share = 1.0 if macs_per_byte is None else macs_per_byte / (macs_per_byte + _BALANCE_MACS_PER_BYTE)
    return memory_bound + (compute_bound - memory_bound) * share


def _per_round(
    speed: NDArray[np.float64], time: NDArray[np.float64], rounds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of each round, less those over all rounds; shapes [r, 2] and [r]."""
    names = np.unique(rounds)
    x = np.array([np.median(speed[rounds == name], axis=0) for name in names])
    y = np.array([np.median(time[rounds == name]) for name in names])
    return x - np.median(x, axis=0), y - np.median(y)


def _estimate(x: NDArray[np.float64], y: NDArray[np.float64], macs_per_byte: float | None) -> NDArray[np.float64]:
    """Elasticities on both references, shape [2]: what the intensity suggests where the rounds say nothing else."""
    prior = np.array([compute_elasticity(macs_per_byte), 0.0])
    precision = np.diag([_COMPUTE_SPREAD**-2, _between(*_MEMORY_SPREAD, macs_per_byte) ** -2])
    estimate = prior
    for _ in range(_REWEIGHTINGS):
        residual = y - x @ estimate
        noise = max(1.4826 * float(np.median(np.abs(residual - np.median(residual)))), _LEAST_NOISE)
        weights = np.minimum(1.0, 2 * noise / np.maximum(np.abs(residual), 1e-12)) / noise**2
        weighted = x * weights[:, None]
        information, seen = weighted.T @ x + precision, weighted.T @ y + precision @ prior
        estimate = np.asarray(np.linalg.solve(information, seen), np.float64)
    return np.asarray(np.clip(estimate, 0.0, _LARGEST_ELASTICITY), np.float64)
