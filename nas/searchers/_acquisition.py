"""What a model says is worth trying: ranks made normal, trade-offs with random weights, expected improvements.

Losses are to be made small. Letters: n architectures that were evaluated, c candidates, m losses.
"""

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST_WEIGHT: Final = 1e-3
_BEYOND: Final = 0.1  # how far behind the worst the reference lies, as a share of the range
_SIGMAS: Final = 4.0  # what is less likely counts as impossible
_NODES, _SHARES = np.polynomial.legendre.leggauss(16)


def normal_scores(losses: Floats) -> Floats:
    """Each loss by its rank among its column, as a quantile of the normal distribution; equal ones share a rank.

    So nothing depends on the scale of a loss, and one that is far worse than all others does not hide their
    differences. NaN is the worst.

    Args:
        losses: shape ``[n, m]``.
    """
    return np.stack([_scores(column) for column in np.where(np.isnan(losses), np.inf, losses).T], axis=1)


def _scores(column: Floats) -> Floats:
    _, which, times = np.unique(column, return_inverse=True, return_counts=True)
    middles = (np.cumsum(times) - 0.5 * times) / len(column)
    normal = NormalDist()
    return np.array([normal.inv_cdf(middle) for middle in middles])[which]


def random_weights(m: int, rng: np.random.Generator) -> Floats:
    """A direction into which m losses are improved, each as likely as another: positive, of length 1; ``[m]``."""
    weights = np.abs(rng.standard_normal(m)).clip(min=_LEAST_WEIGHT)
    normalised: Floats = weights / np.linalg.norm(weights)
    return normalised


def reference_point(losses: Floats) -> Floats:
    """A point a little worse than the worst in every loss, ``[m]``."""
    worst, best = losses.max(axis=0), losses.min(axis=0)
    reference: Floats = worst + _BEYOND * (worst - best).clip(min=1.0)
    return reference


def gains(losses: Floats, weights: Floats, reference: Floats) -> Floats:
    """How far points, ``[n, m]``, get from the reference in the direction of the weights, 0 or more, ``[n]``.

    The mean of the m-th power of the largest of them over all directions is the hypervolume of the points, but for a
    factor (Golovin and Zhang, arXiv:2006.04655, lemma 5). With one loss it is the distance to the reference.
    """
    return np.asarray(((reference - losses) / weights).min(axis=1).clip(min=0), np.float64)


def expected_improvement(means: Floats, deviations: Floats, weights: Floats, reference: Floats, best: float) -> Floats:
    """By how much candidates are expected to raise the m-th power of the best of `gains`.

    Losses are taken for independent and normal. ``E[max(g^m - best^m, 0)]`` is the integral over g from ``best`` on of
    ``m g^(m-1) P(gain > g)``, here by 16 nodes of Gauss and Legendre where the probability is neither 1 nor 0. With one
    loss it is the expected improvement of Mockus (Jones, Schonlau, Welch, "Efficient Global Optimization of Expensive
    Black-Box Functions", 1998, equation 15).

    Args:
        means: shape ``[c, m]``.
        deviations: shape ``[c, m]``.
        weights: shape ``[m]``.
        reference: shape ``[m]``.
        best: largest gain so far.

    Returns:
        Shape ``[c]``. Where an improvement is next to impossible, how nearly so, below 0: the logarithm of its
        probability, by the leading term of the tail.
    """
    m = len(weights)
    most = ((reference - means + _SIGMAS * deviations) / weights).min(axis=1)
    likely = np.flatnonzero(most > best)
    # Up to here the gain is certain, and beyond `most` impossible.
    least = ((reference - means[likely] - _SIGMAS * deviations[likely]) / weights).min(axis=1).clip(min=best)
    half = 0.5 * (most[likely] - least)
    levels = least[:, None] + half[:, None] * (1 + _NODES)  # [candidates, nodes]
    above = np.ones_like(levels)
    for j in range(m):
        gap = (reference[j] - means[likely, j])[:, None] - weights[j] * levels
        above *= _normal_distribution(gap / deviations[likely, j][:, None])
    short = (means - reference + weights * best) / deviations
    worth = -0.5 * (short.clip(min=0) ** 2).sum(axis=1)
    worth[likely] = least**m - best**m + half * ((m * levels ** (m - 1) * above) @ _SHARES)
    return np.asarray(worth, np.float64)


def _normal_distribution(x: Floats) -> Floats:
    """The normal distribution function, to 8e-8 (Abramowitz and Stegun, formula 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    powers = ((((1.330274429 * t - 1.821255978) * t + 1.781477937) * t - 0.356563782) * t + 0.319381530) * t
    upper = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * powers
    return np.asarray(np.where(x > 0, 1 - upper, upper), np.float64)
