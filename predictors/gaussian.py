"""Gaussian processes whose functions are sums: Bayesian linear regression under a mixture of covariances.

A latency is ``weights @ features`` plus noise. The weights are normal with mean 0 and covariance
``scale**2 * (sum over k of share_k * covariance_k)``, the noise has variance ``scale**2 * noise``. Given the shares and
the noise, everything is closed (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.8
to 2.12; with the scale integrated over an inverse gamma prior, O'Hagan and Forster, "Bayesian Inference", 2004,
chapter 11). The shares and the noise are not chosen but integrated: few samples leave many of them plausible, and the
best alone would be too sure of itself. Draws from their prior are weighted by their evidence.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from ._conformal import student_quantile

Floats: TypeAlias = NDArray[np.float64]

_SCALE_SAMPLES: Final = 2  # what the prior of the scale weighs, in samples; values are standardised, so it is near 1
_NEGLIGIBLE: Final = 1e-4  # weight of a draw, relative to the heaviest, below which it is left out


@dataclass(frozen=True)
class Ingredients:
    """Covariances of the weights, to be mixed.

    Attributes:
        names: what each stands for, k of them.
        covariances: shape ``[k, p, p]`` with p features.
    """

    names: tuple[str, ...]
    covariances: Floats


@dataclass(frozen=True)
class Draws:
    """Hyper-parameters drawn from their prior.

    Attributes:
        shares: of each ingredient, shape ``[h, k]`` with h draws of k ingredients.
        noise: variance of the noise in units of the scale squared, shape ``[h]``.
    """

    shares: Floats
    noise: Floats


@dataclass(frozen=True)
class Posterior:
    """What samples say of the weights; moments of the mixture over all draws.

    Attributes:
        mean: of the weights, shape ``[p]``.
        covariance: of the weights, shape ``[p, p]``.
        noise_variance: of one measurement.
        samples: how many it rests on.
        evidence: weight of each draw, shape ``[h]``; they sum to 1.
    """

    mean: Floats
    covariance: Floats
    noise_variance: float
    samples: int
    evidence: Floats

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations of measurements at features of shape ``[n, p]``, each of shape ``[n]``."""
        variances = np.einsum("ij,ij->i", features @ self.covariance, features)
        return features @ self.mean, np.sqrt(variances.clip(min=0) + self.noise_variance)

    def half_width(self, coverage: float) -> float:
        """Half the interval of this coverage, in standard deviations."""
        return student_quantile((1 + coverage) / 2, self.samples + _SCALE_SAMPLES)


def posterior(features: Floats, values: Floats, ingredients: Ingredients, draws: Draws) -> Posterior:
    """Condition on samples.

    Args:
        features: shape ``[n, p]``.
        values: shape ``[n]``, with a spread near 1.
        ingredients: covariances of the weights.
        draws: hyper-parameters to integrate over.

    Raises:
        UsageError: no samples, or shapes that do not fit.
    """
    n, p = features.shape
    if not n or values.shape != (n,) or ingredients.covariances.shape[1:] != (p, p):
        raise UsageError(
            f"{features.shape} features, {values.shape} values", hint="give one value a row, and covariances to match"
        )
    features, values, rest = _compressed(features, values)
    cross = ingredients.covariances @ features.T
    grams = features @ cross
    pairs = zip(draws.shares, draws.noise, strict=True)
    solved = [_solved(grams, values, shares, noise, rest, n) for shares, noise in pairs]
    evidence = _weights(np.array([log_evidence for log_evidence, _, _ in solved]))

    mean, second = np.zeros(p), np.zeros((p, p))
    noise_variance = 0.0
    for weight, shares, noise, (_, inverse, variance) in zip(evidence, draws.shares, draws.noise, solved, strict=True):
        if not weight:
            continue
        towards = np.tensordot(shares, cross, axes=1)
        weights = towards @ (inverse @ values)
        mean += weight * weights
        second += weight * np.outer(weights, weights)
        second -= weight * variance * (towards @ inverse @ towards.T)
        noise_variance += weight * variance * noise
    # The prior's own covariance is linear in the shares, so that one sum serves all draws.
    scaled = evidence * np.array([variance for _, _, variance in solved])
    second += np.tensordot(scaled @ draws.shares, ingredients.covariances, axes=1)
    return Posterior(mean, second - np.outer(mean, mean), noise_variance, n, evidence)


def _compressed(features: Floats, values: Floats) -> tuple[Floats, Floats, float]:
    """At most p rows that say of the weights what all n say, and the sum of squares that is noise alone."""
    if len(features) <= features.shape[1]:
        return features, values, 0.0
    basis, triangle = np.linalg.qr(features)
    projected = basis.T @ values
    return triangle, projected, max(0.0, float(values @ values - projected @ projected))


def _solved(
    grams: Floats, values: Floats, shares: Floats, noise: float, rest: float, samples: int
) -> tuple[float, Floats, float]:
    """Log-evidence, inverse covariance of the values over scale**2, and the expected scale**2 of one draw."""
    n = len(values)
    covariance = np.tensordot(shares, grams, axes=1) + noise * np.eye(n)
    factor = np.linalg.inv(np.linalg.cholesky(covariance))
    inverse = factor.T @ factor
    degrees = _SCALE_SAMPLES + samples
    misfit = _SCALE_SAMPLES + float(values @ inverse @ values) + rest / noise
    log_determinant = -2 * float(np.log(np.diag(factor)).sum()) + (samples - n) * float(np.log(noise))
    return -0.5 * (log_determinant + degrees * float(np.log(misfit))), inverse, misfit / degrees


def _weights(log_evidence: Floats) -> Floats:
    weights = np.exp(log_evidence - log_evidence.max())
    weights[weights < _NEGLIGIBLE] = 0.0
    normalised: Floats = weights / weights.sum()
    return normalised
