"""Gaussian processes whose functions are sums: Bayesian linear regression under a mixture of covariances.

A latency is ``weights @ features`` plus noise. The weights are normal with mean 0 and covariance
``scale**2 * (sum over k of share_k * covariance_k)``, the noise has variance ``scale**2 * noise``. Given the shares and
the noise, everything is closed (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.8
to 2.12; with the scale integrated over an inverse gamma prior, O'Hagan and Forster, "Bayesian Inference", 2004,
chapter 11). The shares and the noise are not chosen but integrated: few samples leave many of them plausible, and the
best alone would be too sure of itself. Draws from their prior are weighted by their evidence.
"""

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

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
    """Hyper-parameters to integrate over: shares drawn from their prior, each with each of some levels of noise.

    Attributes:
        shares: of each ingredient, shape ``[h, k]`` with h draws of k ingredients.
        noise: variances of the noise in units of the scale squared, shape ``[g]``.
        noise_prior: probability of each, shape ``[g]``.
    """

    shares: Floats
    noise: Floats
    noise_prior: Floats


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
    spectra = [_Spectrum.of(np.tensordot(shares, grams, axes=1), values) for shares in draws.shares]
    evidence = _weights(np.stack([spectrum.log_evidence(draws, rest, n) for spectrum in spectra]))
    variances = np.stack([spectrum.misfit(draws.noise, rest) for spectrum in spectra]) / (_SCALE_SAMPLES + n)

    mean, second = np.zeros(p), np.zeros((p, p))
    for weights, scales, shares, spectrum in zip(evidence, variances, draws.shares, spectra, strict=True):
        if not weights.any():
            continue
        towards = np.tensordot(shares, cross, axes=1)
        solutions, inverse = spectrum.moments(draws.noise, weights * scales)
        mean += towards @ (solutions @ weights)
        second += towards @ ((solutions * weights) @ solutions.T - inverse) @ towards.T
    # The prior's own covariance is linear in the shares, so that one sum serves all draws.
    scaled = evidence * variances
    second += np.tensordot(scaled.sum(axis=1) @ draws.shares, ingredients.covariances, axes=1)
    noise_variance = float((scaled * draws.noise).sum())
    return Posterior(mean, second - np.outer(mean, mean), noise_variance, n, evidence.sum(axis=1))


def _compressed(features: Floats, values: Floats) -> tuple[Floats, Floats, float]:
    """At most p rows that say of the weights what all n say, and the sum of squares that is noise alone."""
    if len(features) <= features.shape[1]:
        return features, values, 0.0
    basis, triangle = np.linalg.qr(features)
    projected = basis.T @ values
    return triangle, projected, max(0.0, float(values @ values - projected @ projected))


@dataclass(frozen=True)
class _Spectrum:
    """The covariance of n values in its own coordinates, where all levels of noise are solved at once.

    Attributes:
        sizes: eigenvalues, shape ``[n]``.
        directions: eigenvectors as columns, shape ``[n, n]``.
        values: in these coordinates, shape ``[n]``.
    """

    sizes: Floats
    directions: Floats
    values: Floats

    @classmethod
    def of(cls, covariance: Floats, values: Floats) -> Self:
        sizes, directions = np.linalg.eigh(covariance)
        return cls(sizes.clip(min=0), directions, directions.T @ values)

    def misfit(self, noise: Floats, rest: float) -> Floats:
        """What the expected scale**2 is in proportion to, shape ``[g]``."""
        explained = (self.values**2 / (self.sizes + noise[:, None])).sum(axis=1)
        return np.asarray(_SCALE_SAMPLES + explained + rest / noise, np.float64)

    def log_evidence(self, draws: Draws, rest: float, samples: int) -> Floats:
        """Logarithm of prior times evidence of each level of noise, shape ``[g]``."""
        noise = draws.noise
        determinant = np.log(self.sizes + noise[:, None]).sum(axis=1) + (samples - len(self.values)) * np.log(noise)
        fit = (_SCALE_SAMPLES + samples) * np.log(self.misfit(noise, rest))
        return np.asarray(np.log(draws.noise_prior) - 0.5 * (determinant + fit), np.float64)

    def moments(self, noise: Floats, scaled: Floats) -> tuple[Floats, Floats]:
        """Inverse covariances times the values, ``[n, g]``, and the sum of inverse covariances times ``scaled``."""
        inverses = 1 / (self.sizes[:, None] + noise)
        solutions = self.directions @ (inverses * self.values[:, None])
        return solutions, (self.directions * (inverses @ scaled)) @ self.directions.T


def _weights(log_evidence: Floats) -> Floats:
    weights = np.exp(log_evidence - log_evidence.max())
    weights[weights < _NEGLIGIBLE] = 0.0
    normalised: Floats = weights / weights.sum()
    return normalised
