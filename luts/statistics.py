"""The estimators behind a row: quantiles of the samples, and how sure the quartile is."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

P25: Final = 0.25
_MAX_CELLS: Final = 1 << 21  # elements of one block of resamples: 16 MiB of int64


def quantiles(values: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear quantiles, type 7 of Hyndman and Fan, to the bit as numpy has them.

    On the few samples of a row `numpy.quantile` takes most of its time, which is long, to look at its arguments.

    Args:
        values: shape [n], n >= 1, finite, in any order.
        shares: shape [q], each from 0 to 1.

    Returns:
        Shape [q].
    """
    if len(values) == 1:
        return np.repeat(values, len(shares))
    ordered = np.sort(values)
    places = shares * (len(ordered) - 1)
    below = places.astype(np.intp)
    part = places - below
    low, high = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    # From the nearer end, so that quantiles never decrease by rounding.
    return np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))


def quartile_interval(
    samples: NDArray[np.integer[Any] | np.floating[Any]],
    rounds: NDArray[np.signedinteger[Any]],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 400,
) -> tuple[float, float]:
    """Bootstrap a percentile interval of the 25 % quantile, drawing whole rounds.

    Samples of one round share the clock speed and the load of that moment, so they are not independent: a
    bootstrap over single samples would report a far too narrow interval. Drawing rounds keeps the dependence
    (cluster bootstrap: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).

    Args:
        samples: shape [n], n >= 1.
        rounds: shape [n], the round that each sample was taken in.
        rng: the source of randomness.
        level: share of resamples inside the interval.
        resamples: how many times the rounds are drawn.

    Returns:
        The lower and upper end, in the unit of the samples.
    """
    order = np.argsort(samples, kind="stable")
    ordered = samples[order]
    names, index = np.unique(rounds, return_inverse=True)
    index = index[order]
    quartiles = np.empty(resamples)
    step = max(1, _MAX_CELLS // len(ordered))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
        reached = np.cumsum(drawn[:, index], axis=1)
        first = np.argmax(reached >= P25 * reached[:, -1:], axis=1)
        quartiles[start : start + count] = ordered[first]
    low, high = np.quantile(quartiles, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def relative_halfwidth(
    samples: NDArray[np.integer[Any] | np.floating[Any]],
    rounds: NDArray[np.signedinteger[Any]],
    rng: np.random.Generator,
    *,
    overhead_ns: float = 0.0,
    level: float = 0.95,
    resamples: int = 400,
) -> float | None:
    """Half the bootstrap interval of the quartile, relative to the quartile above the overhead.

    Args:
        samples: shape [n], nanoseconds of one sample.
        rounds: shape [n], the round of each sample.
        rng: the source of randomness.
        overhead_ns: what is subtracted from a sample before it is called latency.
        level: confidence level of the interval.
        resamples: how many times the rounds are drawn.

    Returns:
        A ratio (0.02 is ±2 %), or None when it cannot be known: fewer than two rounds, or nothing is left
        above the overhead.
    """
    if len(samples) == 0 or len(np.unique(rounds)) < 2:
        return None
    above = float(np.quantile(samples, P25)) - overhead_ns
    if above <= 0:
        return None
    low, high = quartile_interval(samples, rounds, rng, level=level, resamples=resamples)
    return (high - low) / 2 / above
