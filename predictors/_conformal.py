"""How wide an interval must be: conformal prediction from errors on samples that were held out.

A model is fitted without a fold of the samples and asked about them; the absolute errors of the logarithm say how
wrong it is on what it has not seen. An interval whose half-width is the ``ceil((n + 1) coverage)``-th smallest of n
such errors holds a new sample of the same kind with at least that probability, whatever the errors' distribution
(Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2; for errors by cross-validation:
Barber et al., "Predictive inference with the jackknife+", 2021, section 2.2, there called CV).
"""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDS: Final = 5


def folds(n: int, rng: np.random.Generator, count: int = FOLDS) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """What to fit to and what to hold out, for each of up to ``count`` folds of n samples in random order."""
    order = rng.permutation(n)
    for held_out in np.array_split(order, min(count, n)):
        yield np.setdiff1d(order, held_out), held_out


def log_halfwidth(errors: NDArray[np.float64], coverage: float) -> float:
    """Half the width of an interval, in logarithms.

    Args:
        errors: absolute logarithmic errors of n >= 1 samples that were held out, shape ``[n]``.
        coverage: in (0, 1).

    Returns:
        The conformal quantile. Where n is too small to have one, what normal errors would have: Student's quantile with
        n degrees of freedom times their root mean square times ``sqrt(1 + 1 / n)``, and no less than the largest.
    """
    n = len(errors)
    rank = math.ceil((n + 1) * coverage - 1e-9)
    if rank <= n:
        return float(np.partition(errors, rank - 1)[rank - 1])
    spread = math.sqrt(float(errors @ errors) / n * (1 + 1 / n))
    return max(float(errors.max()), student_quantile((1 + coverage) / 2, n) * spread)


def too_few(n: int, coverage: float) -> bool:
    """Whether n held-out errors have no conformal quantile for this coverage."""
    return math.ceil((n + 1) * coverage - 1e-9) > n


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t: Hill, "Algorithm 396", Communications of the ACM 13 (1970), its expansion."""
    if degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees == 2:
        p = 2 * (1 - probability)
        return math.sqrt(2 / (p * (2 - p)) - 2)
    z = NormalDist().inv_cdf(probability)
    n, z2 = degrees, z * z
    terms = (
        (z2 + 1) / (4 * n),
        ((5 * z2 + 16) * z2 + 3) / (96 * n**2),
        (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * n**3),
    )
    return z * (1 + sum(terms))
