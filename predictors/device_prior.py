"""`DevicePrior`: what measured devices and counted costs foretell of a device that nobody has measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike

from ..networks.errors import UsageError
from . import metrics
from .encoding import Encoding, Floats
from .gaussian import Draws, Ingredients

_LEVEL: Final = "level"
_LEVEL_SHARE: Final = 10.0  # variance of the constant: wide, for a device may be of any speed

_SHARES: Final[Mapping[str, float]] = {"sources": 0.5, "costs": 0.2, "structure": 0.15, "choices": 0.15}
"""Where the variance of a new device comes from, before any source was asked."""

_NOISE: Final = 0.3
_NOISE_LEVELS: Final = np.geomspace(1e-5, 10, 31)
_SPREAD: Final = 1.5  # standard deviation of the logarithms of shares and of the noise
_DRAWS: Final = 192
_SHRINKAGE: Final = 0.2  # of the structure towards independence: there are fewer sources than entries
_SWEEPS: Final = 10
_RIDGES: Final = (0.1, 1.0, 10.0, 100.0)
_LEAST_SAMPLES: Final = 8  # of a source


@dataclass(frozen=True)
class DevicePrior:
    """A distribution over devices: how the weights of a new one may look.

    The weights of a device's additive model are, up to scale, a mixture of

    - *sources*: weights of devices that were measured,
    - *costs*: weights of quantities that are counted, not measured (MACs, parameters), which are additive too,
    - *structure*: a matrix-normal distribution over (decision, choice) whose two covariances are learnt from the
      sources: what decisions, and what choices, go together,
    - *choices*: the same weight for a choice wherever it is made, such as the overhead of a kernel.

    How much of each, of which source, and how much noise, is not settled but drawn: logarithms of shares and of the
    noise are normal around centres that did well where each source played the new device (docs/transfer.md).

    Attributes:
        encoding: of architectures.
        offsets: mean of the features, shape ``[p - 1]``.
        ingredients: covariances of the p weights, the last of which is the level.
        groups: group of each ingredient, "level", "sources", "costs", "structure" or "choices".
    """

    encoding: Encoding
    offsets: Floats
    ingredients: Ingredients
    groups: tuple[str, ...]

    @classmethod
    def learn(
        cls,
        codes: ArrayLike,
        sources: Mapping[str, ArrayLike] | None = None,
        costs: Mapping[str, ArrayLike] | None = None,
    ) -> Self:
        """Learn from devices that were measured.

        Args:
            codes: architectures, shape ``[n, m]``.
            sources: latencies in ms by device, each of shape ``[n]``; NaN where a device was not measured.
            costs: counted quantities by name, each of shape ``[n]``.

        Raises:
            UsageError: shapes that do not fit, a latency that is not a positive number, or fewer than 8 of a source.
        """
        encoding = Encoding.of(codes)
        one_hot = encoding.features(codes)
        offsets = one_hot.mean(axis=0)
        features = one_hot - offsets
        weights = {
            name: _unit(_ridge(features, _latencies(name, values, len(features))), features)
            for name, values in (sources or {}).items()
        }
        counted = {
            name: _unit(_ridge(features, _counts(name, values, len(features))), features)
            for name, values in (costs or {}).items()
        }
        by_group: dict[str, dict[str, Floats]] = {
            "sources": {name: np.outer(w, w) for name, w in weights.items()},
            "costs": {name: np.outer(w, w) for name, w in counted.items()},
            "structure": {"structure": _structure(encoding, [*weights.values()])},
            "choices": {"choices": np.tile(np.eye(encoding.choices), (encoding.decisions, encoding.decisions))},
        }
        names, matrices, groups = [_LEVEL], [_level(encoding.width)], [_LEVEL]
        for group, members in by_group.items():
            for name, covariance in members.items():
                names.append(name)
                matrices.append(np.pad(covariance / _mean_variance(covariance, features), (0, 1)))
                groups.append(group)
        return cls(encoding, offsets, Ingredients(tuple(names), np.stack(matrices)), tuple(groups))

    def features(self, codes: ArrayLike) -> Floats:
        """Features of architectures, the level's constant last, shape ``[n, p]``.

        A choice that the prior does not know counts as an average one.
        """
        one_hot = self.encoding.features(codes)
        known = one_hot.reshape(len(one_hot), -1, self.encoding.choices).any(axis=2)
        centred = np.where(np.repeat(known, self.encoding.choices, axis=1), one_hot - self.offsets, 0.0)
        return np.concatenate([centred, np.ones((len(centred), 1))], axis=1)

    def draws(self, rng: np.random.Generator) -> Draws:
        """Hyper-parameters to integrate over."""
        names = [name for name in _SHARES if name in self.groups]
        totals = np.array([_SHARES[name] for name in names]) * _log_normal((_DRAWS, len(names)), rng)
        totals /= totals.sum(axis=1, keepdims=True)
        shares = np.full((_DRAWS, len(self.groups)), _LEVEL_SHARE)
        for number, name in enumerate(names):
            members = np.array([group == name for group in self.groups])
            weights = _log_normal((_DRAWS, int(members.sum())), rng)
            shares[:, members] = totals[:, [number]] * weights / weights.sum(axis=1, keepdims=True)
        distances = np.log(_NOISE_LEVELS / _NOISE) / _SPREAD
        likely = np.exp(-0.5 * distances**2)
        return Draws(shares, _NOISE_LEVELS, likely / likely.sum())

    def expected(self) -> tuple[Floats, float]:
        """Covariance of the weights, shape ``[p, p]``, and variance of the noise, before any sample."""
        draws = self.draws(np.random.default_rng(0))
        covariance = np.tensordot(draws.shares.mean(axis=0), self.ingredients.covariances, axes=1)
        return covariance, _NOISE


def _log_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    return np.asarray(np.exp(_SPREAD * rng.standard_normal(shape)), np.float64)


def _latencies(name: str, values: ArrayLike, count: int) -> Floats:
    """Latencies of a source: positive, or NaN where it was not measured."""
    array = _one_each(name, values, count)
    present = array[~np.isnan(array)]
    if len(present) < _LEAST_SAMPLES:
        raise UsageError(f"source {name} has {len(present)} latencies", hint=f"give {_LEAST_SAMPLES} or more")
    metrics.checked_latencies(present, f"source {name}'s")
    return array


def _counts(name: str, values: ArrayLike, count: int) -> Floats:
    """A cost of all architectures."""
    array = _one_each(name, values, count)
    if not np.isfinite(array).all():
        raise UsageError(f"cost {name} holds NaN or infinity", hint="count it for all architectures, or leave it out")
    return array


def _one_each(name: str, values: ArrayLike, count: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise UsageError(f"{name} has shape {array.shape}", hint=f"give one number for each of {count} architectures")
    return array


def standardised(values: Floats) -> tuple[Floats, float, float]:
    """Values with mean 0 and spread 1, and the mean and spread they had.

    Equal values, as a coarse clock gives, have no spread; a hundredth of their size stands for it.
    """
    mean = float(values.mean())
    spread = float(values.std()) or abs(mean) / 100
    return (values - mean) / spread, mean, spread


def _ridge(features: Floats, values: Floats) -> Floats:
    """Weights of an additive model, with the ridge that leave-one-out errors like best; NaN values are left out."""
    rows = ~np.isnan(values)
    y, _, _ = standardised(values[rows])
    x = features[rows] - features[rows].mean(axis=0)
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    projected = left.T @ y
    best, weights = np.inf, np.zeros(x.shape[1])
    for ridge in _RIDGES:
        kept = singular**2 / (singular**2 + ridge)
        leverage = np.einsum("ij,j,ij->i", left, kept, left) + 1 / len(y)
        errors = (y - left @ (kept * projected)) / (1 - leverage.clip(max=0.999))
        score = float(errors @ errors)
        if score < best:
            best = score
            weights = right.T @ (singular / (singular**2 + ridge) * projected)
    return weights


def _unit(weights: Floats, rows: Floats) -> Floats:
    """Weights whose predictions have a spread of 1."""
    spread = float((rows @ weights).std())
    return weights / spread if spread else weights


def _structure(encoding: Encoding, weights: list[Floats]) -> Floats:
    """Covariance of a matrix-normal distribution of (decision, choice), from samples of it.

    By turns, each of the two covariances is estimated given the other (Dutilleul, "The MLE algorithm for the matrix
    normal distribution", 1999), shrunk towards a multiple of the identity. Without samples it is the identity.
    """
    m, k = encoding.decisions, encoding.choices
    across, among = np.eye(m), np.eye(k)
    if not weights:
        return np.eye(m * k)
    samples = np.stack(weights).reshape(-1, m, k)
    samples = samples - samples.mean(axis=2, keepdims=True)
    samples /= samples.std() or 1.0
    for _ in range(_SWEEPS):
        inverse = np.linalg.inv(among)
        across = _shrunk(np.einsum("sik,kl,sjl->ij", samples, inverse, samples) / (len(samples) * k))
        inverse = np.linalg.inv(across)
        among = _shrunk(np.einsum("sik,ij,sjl->kl", samples, inverse, samples) / (len(samples) * m))
    return np.asarray(np.kron(across, among), np.float64)


def _shrunk(covariance: Floats) -> Floats:
    size = len(covariance)
    shrunk: Floats = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    return shrunk * size / float(np.trace(shrunk))


def _mean_variance(covariance: Floats, rows: Floats) -> float:
    return float(np.einsum("ij,ij->i", rows @ covariance, rows).mean()) or 1.0


def _level(width: int) -> Floats:
    level = np.zeros((width + 1, width + 1))
    level[-1, -1] = 1.0
    return level
