"""Measured samples before anything learns from them: merged, counted, and in one unit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import UsageError
from ._batch import Batch
from .base import Inputs, training_latencies

_MIXED: Final = 100.0  # two groups of latencies that far apart, with nothing between, are in two units
_LATENCY_MS: Final = (1e-6, 1e8)  # a nanosecond to a day: beyond is not a latency in ms
_MACS_PER_MS: Final = (1.0, 1e13)  # a thousandth of a slow microcontroller, ten times the fastest accelerator


@dataclass(frozen=True)
class Samples:
    """Different architectures with their latencies.

    Attributes:
        batch: n different architectures, in the order in which they first came.
        latencies_ms: their latencies, shape ``[n]``: the geometric mean where one was given several times.
        given: how many samples there were before equal ones were merged.
        repeat_pct: how much measurements of equal architectures scatter, as a standard deviation in percent. None
            where nothing was repeated.
    """

    batch: Batch
    latencies_ms: NDArray[np.float64]
    given: int
    repeat_pct: float | None


def samples_of(inputs: Inputs, latencies_ms: ArrayLike, *, least: int = 1, who: str = "a predictor") -> Samples:
    """Check samples, and merge those of equal architectures.

    Args:
        inputs: networks or encodings.
        latencies_ms: one positive number each, in ms.
        least: how many different ones there must be.
        who: needs that many, for the error.

    Raises:
        UsageError: bad latencies or encodings, too few different architectures, or latencies that cannot be
            milliseconds, or not all in one unit.
    """
    given = training_latencies(inputs, latencies_ms)
    batch = Batch.of(inputs)
    first: dict[bytes, int] = {}
    group = np.array([first.setdefault(key, len(first)) for key in batch.keys], np.intp)
    index = np.unique(group, return_index=True)[1]
    counts = np.bincount(group)
    logs = np.log(given)
    means = np.bincount(group, logs) / counts
    merged, latencies = batch.take(index), np.exp(means)
    if len(latencies) < least:
        raise UsageError(
            f"{len(latencies)} different architectures, and {who} needs {least} or more", hint="measure some more"
        )
    _require_milliseconds(merged, latencies)
    repeated = int((counts - 1).sum())
    squares = float(((logs - means[group]) ** 2).sum())
    return Samples(merged, latencies, len(given), 100 * float(np.sqrt(squares / repeated)) if repeated else None)


def _require_milliseconds(batch: Batch, latencies_ms: NDArray[np.float64]) -> None:
    """Refuse what cannot be milliseconds, or is in two units."""
    hint = "give all latencies in milliseconds"
    low, high = float(latencies_ms.min()), float(latencies_ms.max())
    if low < _LATENCY_MS[0] or high > _LATENCY_MS[1]:
        raise UsageError(f"latencies of {low:.3g} .. {high:.3g} ms", hint=hint)
    speeds = latencies_ms
    if batch.networks is not None:
        macs = np.array([network.macs for network in batch.networks], np.float64)
        speeds = np.where(macs > 0, macs, np.nan) / latencies_ms
        speeds = speeds[np.isfinite(speeds)]
        typical = float(np.median(speeds)) if len(speeds) else 1.0
        if not _MACS_PER_MS[0] < typical < _MACS_PER_MS[1]:
            raise UsageError(f"the latencies mean {1e3 * typical:.3g} MACs a second", hint=hint)
    ordered = np.sort(np.log(speeds))
    gaps = np.diff(ordered)
    if len(gaps) and gaps.max() > np.log(_MIXED):
        raise UsageError(
            f"the latencies fall into two groups, {np.exp(gaps.max()):.3g} times apart with nothing between: "
            "they seem to be in different units",
            hint=hint,
        )
