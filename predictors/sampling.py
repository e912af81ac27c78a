"""Which architectures to measure on a new device: those that leave least doubt about all the others."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]

_CANDIDATES: int = 2000  # looked at; more of a large space do not make the choice better
_REFERENCE: int = 1000  # architectures whose variance is to fall


def choose_samples(
    features: Floats, covariance: Floats, noise: float, count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Choose architectures one by one, each the one that lowers the mean variance of all predictions most.

    For a Bayesian linear model the variances after a measurement do not depend on what is measured, so the whole plan
    is made before the first. The criterion is known as V-optimality, or integrated variance (Cohn, Ghahramani and
    Jordan, "Active Learning with Statistical Models", 1996). The covariance says what is doubtful: directions in which
    devices are known to differ, costs and choices, so the plan is diverse in those.

    Args:
        features: of the candidates, shape ``[n, p]``.
        covariance: of the weights before measuring, shape ``[p, p]``.
        noise: variance of a measurement, in the same unit.
        count: how many to choose, at most n.
        rng: thins out candidates and references of large spaces.

    Returns:
        Rows of the chosen candidates, different ones, in the order of their worth, shape ``[count]``.

    Raises:
        UsageError: more to choose than there are, or none.
    """
    n = len(features)
    if not 0 < count <= n:
        raise UsageError(f"{count} of {n} architectures to choose", hint="choose at least one, and at most all")
    candidates = rng.choice(n, min(n, max(_CANDIDATES, count)), replace=False)
    reference = features[rng.choice(n, min(n, _REFERENCE), replace=False)]
    wanted = reference.T @ reference / len(reference)
    offered = features[candidates]
    reduced = offered @ covariance  # covariance of the weights with each candidate
    open_rows = np.ones(len(candidates), dtype=bool)
    chosen = []
    for _ in range(count):
        variances = np.einsum("ij,ij->i", offered, reduced)
        gains = np.einsum("ij,ij->i", reduced @ wanted, reduced) / (variances + noise)
        best = int(np.argmax(np.where(open_rows, gains, -np.inf)))
        chosen.append(best)
        open_rows[best] = False
        direction = reduced[best].copy()
        reduced -= np.outer(offered @ direction, direction) / (variances[best] + noise)
    return candidates[chosen]
